import { Operation } from './operation.ts'

/** A command to a server as a whole. */
export interface LinesRequest {
  /** The key that the command is about, for errors. */
  readonly name?: string
  /** The request in the text and meta protocols, line ends included. */
  readonly text: string
  /** Whether the response continues until a line `END`; otherwise it is one line. */
  readonly untilEnd?: boolean
  /** Without `untilEnd`: the form of the line. Any other line, except an error, is not a response to the request. */
  readonly line?: RegExp
  /** With `untilEnd`: the beginning of each line of a list. A first line of any other kind is the whole response. */
  readonly lists?: RegExp
  /** Whether the command changes stored items or the server's state. */
  readonly writes?: boolean
  /** Whether it is a meta command: servers without meta commands do not know it. */
  readonly meta?: boolean
  /** The request in the binary protocol, if it has such a command. */
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
  /** The total length of the response lines that are kept in `lines`. */
  keptLength = 0
  readonly #resolve: (lines: string[]) => void

  constructor(request: LinesRequest, resolve: (lines: string[]) => void, reject: (error: unknown) => void) {
    super(request.name, request.writes === true ? 'writes' : 'reads', reject)
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
