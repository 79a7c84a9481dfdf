import type { Request } from 'memcache-ts-protocol'
import { percentEncode } from '../encoded-text.ts'

/** The maximum number of prefixes that are counted, since nothing else bounds them. */
const MAX_PREFIXES = 65_536

/** One prefix's counts. */
interface PrefixCounts {
  gets: number
  hits: number
  sets: number
  deletes: number
}

/** Gets, sets and deletes by the part of the key before a delimiter, for `stats detail`; off by default. */
export class PrefixCounters {
  enabled: boolean
  readonly delimiter: string
  readonly #counts = new Map<string, PrefixCounts>()

  constructor(delimiter: string, { enabled }: { readonly enabled: boolean }) {
    this.delimiter = delimiter
    this.enabled = enabled
  }

  get(request: Request, outcome: 'hit' | 'miss'): void {
    const counts = this.#of(request)
    if (counts === undefined) return
    counts.gets++
    if (outcome === 'hit') counts.hits++
  }

  set(request: Request): void {
    const counts = this.#of(request)
    if (counts !== undefined) counts.sets++
  }

  delete(request: Request): void {
    const counts = this.#of(request)
    if (counts !== undefined) counts.deletes++
  }

  reset(): void {
    this.#counts.clear()
  }

  /** Yields the lines of `stats detail dump`. */
  *lines(): Generator<string> {
    for (const [prefix, { gets, hits, sets, deletes }] of this.#counts) {
      yield `PREFIX ${printable(prefix)} get ${gets} hit ${hits} set ${sets} del ${deletes}\r\n`
    }
  }

  #of(request: Request): PrefixCounts | undefined {
    const key = request.keyText()
    const end = key.indexOf(this.delimiter)
    if (end === -1) return undefined
    const prefix = key.slice(0, end)
    let counts = this.#counts.get(prefix)
    if (counts === undefined && this.#counts.size < MAX_PREFIXES) {
      counts = { gets: 0, hits: 0, sets: 0, deletes: 0 }
      this.#counts.set(prefix, counts)
    }
    return counts
  }
}

/** Bytes that would end a line or a word: only base64 keys have spaces and line ends, other keys control characters. */
const UNPRINTABLE = /[\0- \x7f]/

/** Returns a prefix as one word of a line, percent-encoded as in `lru_crawler metadump` if it is ambiguous. */
function printable(prefix: string): string {
  return UNPRINTABLE.test(prefix) ? percentEncode(Buffer.from(prefix, 'latin1'), 0, prefix.length) : prefix
}
