/** Requests that wait in the handler until they are let go: how tests put parallel requests in an order. */
export class Gate {
  readonly arrived: Promise<void>
  #arrive!: () => void
  #open!: () => void
  readonly #opened: Promise<void>

  constructor() {
    this.arrived = new Promise((resolve) => (this.#arrive = resolve))
    this.#opened = new Promise((resolve) => (this.#open = resolve))
  }

  async pass(): Promise<void> {
    this.#arrive()
    await this.#opened
  }

  open(): void {
    this.#open()
  }
}
