import { BlockList, isIP } from 'node:net'
import { MemcacheOptionError } from 'memcache-ts-protocol'

/** Ids that are always allowed, or always denied: the ids themselves, ranges of addresses (`10.0.0.0/8`), or a function that knows. */
export type IdListOption = Iterable<string> | ((id: string) => boolean)

/** Ids by themselves, and by the ranges of addresses that they are in. */
export class IdList {
  readonly #has: (id: string) => boolean

  /**
   * @param name of the option, for errors.
   * @throws MemcacheOptionError if an entry is no string, or a range is none.
   */
  constructor(name: string, option: IdListOption) {
    if (typeof option === 'function') {
      this.#has = option
      return
    }
    if (typeof option === 'string' || typeof option?.[Symbol.iterator] !== 'function') {
      throw new MemcacheOptionError(
        `${name} must be a list of ids and address ranges, or a function of an id, got ${typeof option}`,
      )
    }
    const ids = new Set<string>()
    const ranges = new BlockList()
    for (const entry of option) {
      if (typeof entry !== 'string') {
        throw new MemcacheOptionError(`${name} must be a list of strings, got one that is ${typeof entry}`)
      }
      ids.add(entry)
      addRange(name, ranges, entry)
    }
    const hasRanges = ranges.rules.length > 0
    this.#has = (id) => ids.has(id) || (hasRanges && isInRange(ranges, id))
  }

  has(id: string): boolean {
    return this.#has(id)
  }
}

function addRange(name: string, ranges: BlockList, entry: string): void {
  const [address = '', bits, ...rest] = entry.split('/')
  const version = isIP(address)
  if (version === 0 || bits === undefined) return
  const prefix = /^\d+$/.test(bits) ? Number(bits) : Number.NaN
  if (!(prefix <= (version === 4 ? 32 : 128)) || rest.length > 0) {
    throw new MemcacheOptionError(`${name} has a range of addresses that is none: '${entry}'`)
  }
  ranges.addSubnet(address, prefix, version === 4 ? 'ipv4' : 'ipv6')
}

/** An id may be an address, or a range of them as `ipKey` makes it. */
function isInRange(ranges: BlockList, id: string): boolean {
  const address = id.includes('/') ? id.slice(0, id.indexOf('/')) : id
  const version = isIP(address)
  return version !== 0 && ranges.check(address, version === 4 ? 'ipv4' : 'ipv6')
}
