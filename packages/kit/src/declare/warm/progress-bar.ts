const WIDTH = 24

/** A stream that may be a terminal. */
export interface ProgressStream {
  readonly isTTY?: boolean | undefined
  write(text: string): unknown
}

/** Shows the progress of long work: a bar on a terminal, otherwise one line at the end. */
export class ProgressBar {
  readonly #label: string
  readonly #total: number | undefined
  readonly #stream: ProgressStream

  /** @param total the number of steps, if it is known. */
  constructor(label: string, total: number | undefined, stream: ProgressStream) {
    this.#label = label
    this.#total = total
    this.#stream = stream
  }

  update(done: number): void {
    if (this.#stream.isTTY === true) this.#stream.write(`\r${this.#line(done)}\u001b[K`)
  }

  finish(done: number, outcome: string): void {
    const start = this.#stream.isTTY === true ? '\r' : ''
    const end = this.#stream.isTTY === true ? '\u001b[K' : ''
    this.#stream.write(`${start}${this.#line(done)} ${outcome}${end}\n`)
  }

  #line(done: number): string {
    if (this.#total === undefined) return `${this.#label} ${done}`
    const share = this.#total === 0 ? 1 : Math.min(1, done / this.#total)
    const filled = Math.round(share * WIDTH)
    return `${this.#label} ${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)} ${done}/${this.#total}`
  }
}
