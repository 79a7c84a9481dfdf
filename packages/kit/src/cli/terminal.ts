import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import type { Readable, Writable } from 'node:stream'
import { styleText } from 'node:util'

/** A stream of the process, which may be a terminal. */
export interface OutputStream extends Writable {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  readonly rows?: number | undefined
}

export interface InputStream extends Readable {
  readonly isTTY?: boolean | undefined
  setRawMode?(mode: boolean): unknown
}

export type Style = Parameters<typeof styleText>[0]

const DEFAULT_COLUMNS = 80
const DEFAULT_ROWS = 24

/** The input and output of a command. Colours are used on a terminal only, and never if `NO_COLOR` is set. */
export class Terminal {
  readonly output: OutputStream
  readonly errors: OutputStream
  readonly input: InputStream
  readonly env: NodeJS.ProcessEnv
  /** Set by `--no-color`. */
  plain = false

  constructor(streams: { output: OutputStream; errors: OutputStream; input: InputStream; env: NodeJS.ProcessEnv }) {
    this.output = streams.output
    this.errors = streams.errors
    this.input = streams.input
    this.env = streams.env
  }

  static ofProcess(): Terminal {
    const { stdout, stderr, stdin, env } = process
    // `memcache-ts keys | head` closes the pipe early; that is not an error.
    stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0)
      throw error
    })
    return new Terminal({ output: stdout, errors: stderr, input: stdin, env })
  }

  get isInteractive(): boolean {
    return this.output.isTTY === true && this.input.isTTY === true
  }

  get columns(): number {
    // A pseudo-terminal without a size reports 0.
    return this.output.columns || DEFAULT_COLUMNS
  }

  get rows(): number {
    return this.output.rows || DEFAULT_ROWS
  }

  get hasColours(): boolean {
    if (this.plain || (this.env['NO_COLOR'] ?? '') !== '' || this.env['TERM'] === 'dumb') return false
    return this.output.isTTY === true || (this.env['FORCE_COLOR'] ?? '0') !== '0'
  }

  styled(style: Style, text: string): string {
    return this.hasColours ? styleText(style, text, { validateStream: false }) : text
  }

  write(text: string | Buffer): void {
    this.output.write(text)
  }

  line(text = ''): void {
    this.output.write(`${text}\n`)
  }

  /** Writes one value as JSON on one line. */
  json(value: unknown): void {
    const text = JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? `${item}` : jsonNumber(item)))
    // JSON itself escapes only a part of the control characters.
    this.line(printable(text))
  }

  /** Writes a message to standard error. It may contain text of a server or a user, so control characters are escaped. */
  note(text: string, style?: Style): void {
    const lines = text.split('\n').map(printable).join('\n')
    this.errors.write(`${style === undefined ? lines : this.styled(style, lines)}\n`)
  }

  /** Prompts for a line; `undefined` if the input and output are not terminals. The end of the input is an empty line. */
  async prompt(text: string): Promise<string | undefined> {
    if (!this.isInteractive) return undefined
    const lines = createInterface({ input: this.input, output: this.output })
    try {
      // After Ctrl-D or Ctrl-C there is no input.
      const ended = once(lines, 'close').then(() => '')
      return await Promise.race([lines.question(text), ended])
    } finally {
      lines.close()
    }
  }
}

/** Returns `null` in place of `Infinity`, the lifetime of an item that does not expire, since JSON has no such number. */
function jsonNumber(item: unknown): unknown {
  return item === Infinity ? null : item
}

/** Returns text from a server or a user with control characters escaped, so that it cannot control the terminal. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`
  })
}

/** The exit statuses of the command `memcache-ts`; its help lists them. */
export const ExitStatus = {
  ok: 0,
  /** A key was not found, a check of `doctor` failed, or a part of the work could not be done. */
  incomplete: 1,
  /** The command line is wrong. */
  usage: 2,
  /** No server responds. */
  unreachable: 3,
} as const

export type ExitStatus = (typeof ExitStatus)[keyof typeof ExitStatus]

/** An error of which the user sees only the message. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly status: ExitStatus

  constructor(message: string, status: ExitStatus = ExitStatus.usage) {
    super(message)
    this.status = status
  }
}
