import { Operation } from './operation.ts'

/** A command to a server as a whole. */
export interface LinesRequest {
  /** What goes over the wire in the protocols of lines, line ends included. */
  readonly text: string
  /** Whether the response goes on until a line `END`, rather than being one line. */
  readonly untilEnd?: boolean
  /** With `untilEnd`: what the lines of a list begin with. A first line of any other kind is the whole response. */
  readonly lists?: RegExp
  /** Whether it changes what is stored, or how the server works. */
  readonly writes?: boolean
  /** Whether it is a meta command, which servers without those do not know. */
  readonly meta?: boolean
  /** What it is in the binary protocol, if there is such a thing. */
  readonly binary?: BinaryRequest
}

/** A command of the binary protocol. */
interface BinaryRequest {
  readonly opcode: number
  readonly key?: string
  readonly value?: string
  /** A number of 32 bits before the key. */
  readonly extra?: number
}

/** A command whose response is text. */
export class LinesOperation extends Operation {
  readonly kind = 'lines'
  readonly request: LinesRequest
  readonly lines: string[] = []
  /** How much of the response is kept in `lines`. */
  keptLength = 0
  readonly #resolve: (lines: string[]) => void

  constructor(
    request: LinesRequest,
    key: string | undefined,
    resolve: (lines: string[]) => void,
    reject: (error: unknown) => void,
  ) {
    super(key, request.writes === true, reject)
    this.request = request
    this.#resolve = resolve
  }

  take(line: string): void {
    this.lines.push(line)
    this.keptLength += line.length + 1
  }

  /** Whether the response so far is one line, instead of the list that was requested. */
  get isRefused(): boolean {
    const { lists } = this.request
    return lists !== undefined && this.lines.length === 1 && !lists.test(this.lines[0]!)
  }

  finish(): void {
    if (this.settle()) this.#resolve(this.lines)
  }
}
