/** Frames of the machinery that applies decorators, which say nothing of who wrote them. */
const HELPER = /decorat|applyDecs|_apply|<static_initializer>|^new Promise/i
const HELPER_FILE = /[/\\]node_modules[/\\]|[/\\]tslib[./\\]/
/** Functions that stand for the code of a module: they have no name, or the bundler's name of the module. */
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

/** Declarations of one synchronous run: a loop declares several at one place, a module that is evaluated again one. */
let run: object | undefined

function currentRun(): object {
  if (run === undefined) {
    run = {}
    queueMicrotask(() => (run = undefined))
  }
  return run
}

/** Where in the user's code something was declared. Its stack is read when somebody asks. */
export class DeclarationSite {
  readonly #run = currentRun()
  readonly #error: { stack?: string } = {}
  #frames: readonly Frame[] | undefined

  /** @param above the function of ours that the user has called: frames from it on are left out. */
  constructor(above: Function) {
    const { stackTraceLimit } = Error
    const isWritable = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit')?.writable === true
    if (isWritable) Error.stackTraceLimit = MAX_FRAMES
    Error.captureStackTrace(this.#error, above)
    if (isWritable) Error.stackTraceLimit = stackTraceLimit
  }

  /** `file:line`, for a message; `undefined` where the stack says nothing. */
  get place(): string | undefined {
    const [frame] = this.#userFrames()
    return frame?.file === undefined
      ? undefined
      : `${frame.file.replace(/^file:\/\//, '')}:${frame.position.split(':')[0]}`
  }

  /**
   * Whether this is the same declaration as another one, evaluated once more: a module that was loaded again by hot
   * reloading or by a test runner. A function that declares something each time it is called makes several.
   */
  isEvaluatedAgain(before: DeclarationSite): boolean {
    const [own] = this.#userFrames()
    const [other] = before.#userFrames()
    if (own?.file === undefined || own.file !== other?.file || own.position !== other.position) return false
    return this.#run !== before.#run && this.#isModuleCode()
  }

  /** Whether no function of the user's stands between the declaration and the loader of its module. */
  #isModuleCode(): boolean {
    for (const { name, file } of this.#userFrames()) {
      if (file !== undefined && LOADER_FILE.test(file)) return true
      if (file === undefined || !MODULE_CODE.test(name)) return false
    }
    return true
  }

  /** The frames from the declaration on. */
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
