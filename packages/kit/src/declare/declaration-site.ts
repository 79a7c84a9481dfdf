/** Stack frames of code that applies decorators, which do not belong to the user's declaration. */
const HELPER = /decorat|applyDecs|_apply|<static_initializer>|^new Promise/i
const HELPER_FILE = /[/\\]node_modules[/\\]|[/\\]tslib[./\\]/
/** Functions that represent a module's top-level code: they have no name, or the bundler's name of the module. */
const MODULE_CODE =
  /^(?:Object|Module|async Module|async Object)?\.?(?:<anonymous>|\.\/.*|eval)?$|^eval$|^\S*\/\S*$|__TURBOPACK__|static_initializer/
const LOADER_FILE = /^node:|[/\\]node_modules[/\\]|^webpack\/|^internal\//
const MAX_FRAMES = 24

interface Frame {
  readonly name: string
  /** The file, without the query that hot reloading adds; `undefined` for native code. */
  readonly file: string | undefined
  readonly position: string
}

/**
 * Identifies a synchronous run. A loop makes several declarations at one place in one run; a module that is evaluated
 * again makes them in another run.
 */
let run: object | undefined

function currentRun(): object {
  if (run === undefined) {
    run = {}
    queueMicrotask(() => (run = undefined))
  }
  return run
}

/** The place in the user's code where something was declared. Its stack is parsed only when it is read. */
export class DeclarationSite {
  /** The synchronous run in which the declaration was made. */
  readonly run = currentRun()
  readonly #error: { stack?: string } = {}
  #frames: readonly Frame[] | undefined

  /** @param above the function of this package that the user called: frames above it are omitted. */
  constructor(above: Function) {
    const { stackTraceLimit } = Error
    const isWritable = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit')?.writable === true
    if (isWritable) Error.stackTraceLimit = MAX_FRAMES
    Error.captureStackTrace(this.#error, above)
    if (isWritable) Error.stackTraceLimit = stackTraceLimit
  }

  /** `file:line` for a message; `undefined` if the stack does not contain it. */
  get place(): string | undefined {
    const [frame] = this.#userFrames()
    return frame?.file === undefined
      ? undefined
      : `${frame.file.replace(/^file:\/\//, '')}:${frame.position.split(':')[0]}`
  }

  /** The frame of the declaration; `undefined` if the stack does not contain it. */
  get frame(): Frame | undefined {
    return this.#userFrames()[0]
  }

  /**
   * Returns whether this is the same declaration as another one, evaluated again: its module was reloaded by hot
   * reloading or by a test runner. A function that declares something on each call makes several declarations.
   */
  isEvaluatedAgain(before: DeclarationSite): boolean {
    // Only public properties of the other site are read: it may come from another copy of this package.
    const { frame, run } = before
    if (this.frame?.file === undefined || this.frame.file !== frame?.file || this.frame.position !== frame.position)
      return false
    return this.run !== run && this.#isModuleCode()
  }

  /** Returns whether the declaration is in a module's top-level code, not within a function. */
  #isModuleCode(): boolean {
    for (const { name, file } of this.#userFrames()) {
      if (file !== undefined && LOADER_FILE.test(file)) return true
      if (file === undefined || !MODULE_CODE.test(name)) return false
    }
    return true
  }

  /** Returns the frames from the declaration on. */
  #userFrames(): readonly Frame[] {
    if (this.#frames === undefined) {
      const all = parseStack(this.#error.stack ?? '')
      const first = all.findIndex(
        ({ name, file }) => file !== undefined && !HELPER.test(name) && !HELPER_FILE.test(file),
      )
      this.#frames = first === -1 ? all : all.slice(first)
    }
    return this.#frames
  }
}

function parseStack(stack: string): Frame[] {
  return stack.split('\n').flatMap((line): Frame[] => {
    const [, name = '', file, row, column] = /^\s*at (?:async )?(?:(.*) \()?(.+?):(\d+):(\d+)\)?$/.exec(line) ?? []
    if (file !== undefined) return [{ name, file: file.replace(/\?[^/\\]*$/, ''), position: `${row}:${column}` }]
    const native = /^\s*at (.*) \(<anonymous>\)$/.exec(line)
    return native === null ? [] : [{ name: native[1]!, file: undefined, position: '' }]
  })
}
