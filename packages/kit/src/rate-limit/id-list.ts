import { BlockList, isIP } from 'node:net'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import { ipKey } from './ip-key.ts'

/**
 * Ids that are always allowed, or always denied: the ids themselves, ranges of addresses (`10.0.0.0/8`), or a function
 * of an id.
 */
export type IdListOption = Iterable<string> | ((id: string) => boolean)

const IPV6_BITS = 128

/** A list of ids and address ranges. An id is in the list if it is an entry, or an address in an entry's range. */
export class IdList {
  readonly #has: (id: string) => boolean

  /**
   * @param name the name of the option, for error messages.
   * @throws MemcacheOptionError if an entry is not a string, or a range is invalid.
   */
  constructor(name: string, option: IdListOption) {
    if (typeof option === 'function') {
      this.#has = (id) => isTrue(name, option(id))
      return
    }
    if (typeof option === 'string' || typeof option?.[Symbol.iterator] !== 'function') {
      throw new MemcacheOptionError(
        `${name} must be a list of ids and address ranges, or a function of an id, got ${typeof option}`,
      )
    }
    const ids = new Set<string>()
    const addresses = new AddressList()
    for (const entry of option) {
      if (typeof entry !== 'string') {
        throw new MemcacheOptionError(`${name} must be a list of strings, got an entry of type ${typeof entry}`)
      }
      ids.add(entry)
      addresses.add(name, entry)
    }
    this.#has = (id) => ids.has(id) || (!addresses.isEmpty && addresses.has(id))
  }

  /** @throws MemcacheOptionError if a function of the options returns a promise. */
  has(id: string): boolean {
    return this.#has(id)
  }
}

/** Addresses and address ranges, in any notation. IPv6 addresses that contain an IPv4 address count as the IPv4 address. */
class AddressList {
  readonly #ranges = new BlockList()
  /** The IPv6 addresses of the entries. */
  readonly #ipv6: string[] = []
  /** The networks of the IPv6 entries by prefix length, in the form of `ipKey`. */
  readonly #networks = new Map<number, ReadonlySet<string>>()

  get isEmpty(): boolean {
    return this.#ranges.rules.length === 0
  }

  /**
   * Adds an entry if it is an address or a range.
   *
   * @throws MemcacheOptionError if it is an invalid range.
   */
  add(name: string, entry: string): void {
    const [address = '', bits, ...rest] = entry.split('/')
    const version = isIP(address)
    if (version === 0) return
    if (version === 6) this.#ipv6.push(address)
    if (bits === undefined) {
      const plain = ipKey(address, IPV6_BITS)
      this.#ranges.addAddress(plain, versionOf(plain))
      return
    }
    const prefix = /^\d+$/.test(bits) ? Number(bits) : Number.NaN
    if (!(prefix <= (version === 4 ? 32 : IPV6_BITS)) || rest.length > 0) {
      throw new MemcacheOptionError(
        `${name} has an invalid address range, '${entry}': write it like 10.0.0.0/8 or 2001:db8::/32`,
      )
    }
    this.#ranges.addSubnet(address, prefix, versionOf(address))
  }

  /**
   * Returns whether an id is an address in the list, or a network of `ipKey` that is in a range of the list or contains
   * an address of it.
   */
  has(id: string): boolean {
    const slash = id.indexOf('/')
    if (slash === -1) {
      const address = ipKey(id, IPV6_BITS)
      return isIP(address) !== 0 && this.#ranges.check(address, versionOf(address))
    }
    const address = id.slice(0, slash)
    const bits = id.slice(slash + 1)
    if (isIP(address) !== 6 || !/^\d{1,3}$/.test(bits)) return false
    return this.#ranges.check(address, 'ipv6') || (this.#ipv6.length > 0 && this.#networksOf(Number(bits)).has(id))
  }

  #networksOf(bits: number): ReadonlySet<string> {
    const known = this.#networks.get(bits)
    if (known !== undefined) return known
    // A client may send any number.
    if (bits < 1 || bits > IPV6_BITS) return new Set()
    const networks = new Set(this.#ipv6.map((address) => ipKey(address, bits)))
    this.#networks.set(bits, networks)
    return networks
  }
}

function versionOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6'
}

/**
 * Returns the result of a function as a boolean.
 *
 * @throws MemcacheOptionError if the result is a promise, which would always be true.
 */
function isTrue(name: string, result: unknown): boolean {
  if (typeof (result as PromiseLike<unknown> | undefined)?.then === 'function') {
    throw new MemcacheOptionError(`${name} must be a function that returns true or false, but it returned a promise`)
  }
  return Boolean(result)
}
