import { Operation } from './operation.ts'

/** Keys of one request at most; longer lists are asked for in several. */
export const KEYS_PER_REQUEST = 200

/** Many keys in one request: the hits come with their keys, and then the end. */
export abstract class KeyListOperation extends Operation {
  readonly kind = 'keyList'
  /** What goes over the wire, in this order. */
  readonly wireKeys: string[] = []
  /** Whether the cas uniques are wanted. */
  withCas = false
  /** That of the hit which is handed on, where it is wanted. */
  casUnique = 0n
  /** How many ends the answer has yet: long lists go in several lines. */
  ends = 0
  /** Servers answer in the order of the question, so the next hit is looked for from here on. */
  #next = 0
  #found = 0
  #hits = 0

  /** Which key's hit begins, by its bytes; false for a key that nobody asked for, and for more hits than keys. */
  match(buffer: Buffer, start: number, end: number): boolean {
    const { length } = this.wireKeys
    if (this.#hits++ >= length) return false
    for (let step = 0; step < length; step++) {
      const index = (this.#next + step) % length
      if (isKey(this.wireKeys[index]!, buffer, start, end)) {
        this.#found = index
        this.#next = index + 1
        return true
      }
    }
    return false
  }

  /** Takes the bytes of the value whose key was matched last. */
  take(buffer: Buffer, start: number, end: number, clientFlags: number, owned: boolean): void {
    this.hit(this.#found, buffer, start, end, clientFlags, owned)
  }

  /** It may be a lease that nobody has filled, which only a meta command tells from an empty value. */
  takeEmpty(): void {
    this.askAgain(this.#found)
  }

  /**
   * It may be a lease that nobody has filled, and the protocol does not tell. It is a miss, which a cache may always say, unless the codec
   * stores values so.
   */
  takeUncertain(buffer: Buffer, at: number): void {
    if (this.takesEmptyForLease) this.miss(this.#found)
    else this.hit(this.#found, buffer, at, at, 0, false)
  }

  protected abstract readonly takesEmptyForLease: boolean
  protected abstract miss(index: number): void
  protected abstract hit(
    index: number,
    buffer: Buffer,
    start: number,
    end: number,
    clientFlags: number,
    owned: boolean,
  ): void
  protected abstract askAgain(index: number): void
  /** All hits have come. */
  abstract finish(): void
}

function isKey(key: string, buffer: Buffer, start: number, end: number): boolean {
  const { length } = key
  if (end - start !== length) return end - start > length && buffer.toString('utf8', start, end) === key
  for (let index = 0; index < length; index++) {
    const code = key.charCodeAt(index)
    if (code !== buffer[start + index]) return code > 127 && buffer.toString('utf8', start, end) === key
  }
  return true
}
