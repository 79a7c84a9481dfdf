// Random requests of all text and meta commands, for `conformance/record.js`:
// `node conformance/fuzz-requests.js <seed> <exchanges> > <requests>`. The same seed makes the same requests.
import { escapeBytes } from 'memcache-ts-testing'
import { fileURLToPath } from 'node:url'

/** Numbers on both sides of every limit, and what is none. */
const NUMBERS = [
  '0',
  '1',
  '2',
  '5',
  '10',
  '100',
  '-1',
  '+1',
  '-0',
  '+0',
  '00',
  '007',
  '2592000',
  '2592001',
  '65535',
  '4294967295',
  '2147483645',
  '2147483646',
  '2147483647',
  '2147483648',
  '-2147483647',
  '-2147483648',
  '-2147483649',
  '4294967296',
  '9223372036854775807',
  '9223372036854775808',
  '-9223372036854775807',
  '-9223372036854775808',
  '-9223372036854775809',
  '18446744073709551615',
  '18446744073709551616',
  '99999999999999999999',
  '-',
  '+',
  '1.5',
  'abc',
  '1a',
  '0x10',
  '1e3',
  '\t5',
  '5\t',
  '--1',
  '',
  '0\0',
  '1,2',
]
const GOOD_NUMBERS = ['0', '1', '2', '5', '10', '100', '1000', '4294967295', '18446744073709551615']
const TTLS = ['0', '100', '1000', '-1', '2592000', '2147483647']
const VALUES = [
  '',
  '5',
  '9',
  '99',
  '100',
  'abc',
  ' 5',
  '5 ',
  '+5',
  '-1',
  '0005',
  '18446744073709551615',
  '5\r\n5',
  'x y',
]
const STORAGE = ['set', 'set', 'add', 'replace', 'append', 'prepend', 'cas']
const META_SET_MODES = ['E', 'A', 'P', 'R', 'S', 'e', 'a', 'X', 'SS', '', 'append']
const ARITHMETIC_MODES = ['I', '+', 'D', '-', 'i', 'X', 'II', '', 'incr']
const FLAGS = {
  mg: ['b', 'c', 'C', 'E', 'f', 'h', 'k', 'l', 'N', 'O', 'P', 'L', 'q', 'R', 's', 't', 'T', 'u', 'v', 'v', 'v'],
  ms: ['b', 'c', 'C', 'E', 'F', 'I', 'k', 'L', 'M', 'N', 'O', 'P', 'q', 's', 'T'],
  md: ['b', 'C', 'E', 'F', 'I', 'k', 'L', 'O', 'P', 'q', 'T', 'x', 'v'],
  ma: ['b', 'c', 'C', 'D', 'E', 'J', 'k', 'L', 'M', 'N', 'O', 'P', 'q', 't', 'T', 'v', 'v'],
  me: ['b'],
}
const TAKES_NUMBER = 'CDEFJNRT'
const ODD_FLAGS = ['', 'z', 'Z', 'S100', '!', '1', '~', '\x7f', '\xff', 'W', 'X', 'i', 'd0', 'v1', 'kx', 'b64']
const OTHER_LINES = [
  'version',
  'version x',
  'm',
  'mx',
  'mxy',
  'verbosity 0',
  'verbosity',
  'verbosity x',
  'verbosity 0 noreply',
  'stats nothing',
  'stats detail',
  'stats detail x',
  'stats detail off',
  'stats reset',

  'stats sizes',
  'stats cachedump',
  'stats cachedump 1',
  'stats cachedump 99 1',
  'stats cachedump x 1',
  'stats reset x',
  'flush_all x',
  'flush_all -1',
  'flush_all noreply x',
  'slabs',
  'slabs x',
  'slabs reassign',
  'slabs reassign x y',
  'slabs reassign 1 1',
  'slabs automove',
  'slabs automove x',
  'slabs automove 9',
  'slabs automove window 1',
  'lru',
  'lru x',
  'lru tune',
  'lru tune 1 2',
  'lru tune 90 90 1 1',
  'lru tune 20 40 0 1',
  'lru mode x',
  'lru mode',
  'lru temp_ttl',
  'lru temp_ttl x',
  'lru_crawler',
  'lru_crawler x',
  'lru_crawler sleep x',
  'lru_crawler sleep 9999999',
  'lru_crawler crawl x',
  'lru_crawler crawl 99',
  'lru_crawler tocrawl x',
  'lru_crawler metadump x',
  'cache_memlimit',
  'cache_memlimit x',
  'cache_memlimit 1',
  'shutdown',
  'shutdown x',
  'watch x',
  'refresh_certs',
  'GET a',
  'get',
  'gets ',
  'gat',
  'gat 1',
  'set',
  'set a',
  'set a 0 0',
  'touch',
  'touch a',
  'incr',
  'incr a',
  'delete',
  'mg',
  'ms',
  'md',
  'ma',
  'me',
  'ms a',
  'quits',
  ' get a',
  '\tget a',
  'get\ta',
  'misbehave',
  'debugtime',
  'xyzzy noreply',
  '',
  ' ',
  '  ',
]

/** A small random generator (mulberry32): the same numbers for the same seed, everywhere. */
export class Random {
  #state

  /** @param {number} seed */
  constructor(seed) {
    this.#state = seed >>> 0
  }

  /**
   * A whole number under `limit`.
   *
   * @param {number} limit
   */
  below(limit) {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }

  /** @template T @param {readonly T[]} list @returns {T} */
  of(list) {
    return list[this.below(list.length)]
  }

  /**
   * True once in `times`.
   *
   * @param {number} times
   */
  oneIn(times) {
    return this.below(times) === 0
  }
}

/** Makes the requests of one exchange, as bytes: a few commands on a few keys of its own, and a `mn`. */
class ExchangeMaker {
  #random
  #keys

  /**
   * @param {Random} random
   * @param {number} number
   */
  constructor(random, number) {
    this.#random = random
    this.#keys = ['a', 'b'].map((letter) => `f${number}${letter}`)
  }

  make() {
    const random = this.#random
    let bytes = ''
    for (let commands = 2 + random.below(7); commands > 0; commands--) bytes += this.#command()
    return `${bytes}mn\r\n`
  }

  #command() {
    const random = this.#random
    switch (random.below(16)) {
      case 0:
      case 1:
      case 2:
        return this.#storage()
      case 3:
        return this.#line([
          random.of(['get', 'get', 'gets']),
          this.#shortKey(),
          random.oneIn(3) ? this.#shortKey() : undefined,
        ])
      case 4:
        return this.#line([
          random.of(['gat', 'gats']),
          this.#number(TTLS),
          this.#shortKey(),
          random.oneIn(3) ? this.#shortKey() : '',
        ])
      case 5:
        return this.#line([random.of(['incr', 'decr']), this.#key(), this.#number(GOOD_NUMBERS), this.#noreply()])
      case 6:
        return this.#line(['touch', this.#key(), this.#number(TTLS), this.#noreply()])
      case 7:
        return this.#line(['delete', this.#key(), random.oneIn(4) ? random.of(NUMBERS) : undefined, this.#noreply()])
      case 8:
        return this.#line([random.of(OTHER_LINES)])
      case 9:
      case 10:
      case 11:
        return this.#meta('mg')
      case 12:
        return this.#metaSet()
      case 13:
        return this.#meta('md')
      case 14:
        return this.#meta('ma')
      default:
        return random.oneIn(4) ? this.#meta('me') : this.#metaSet()
    }
  }

  #storage() {
    const random = this.#random
    const command = random.of(STORAGE)
    const value = random.of(VALUES)
    const length = random.oneIn(20) ? random.of(['-1', 'x', '', '2147483647', String(value.length + 1)]) : value.length
    const unique = command === 'cas' ? this.#number(['0', '1', '7', '99']) : undefined
    const flags = this.#number(GOOD_NUMBERS)
    const words = [command, this.#key(), flags, this.#number(TTLS), String(length), unique, this.#noreply()]
    return `${this.#line(words)}${value}${random.oneIn(30) ? 'zz' : ''}\r\n`
  }

  #metaSet() {
    const random = this.#random
    const value = random.of(VALUES)
    const length = random.oneIn(20) ? random.of(['-1', 'x', '', String(value.length + 1)]) : value.length
    const key = this.#key()
    const flags = this.#flags('ms')
    return `${this.#line(['ms', key, String(length), ...flags])}${value}${random.oneIn(30) ? 'zz' : ''}\r\n`
  }

  /** @param {'mg' | 'md' | 'ma' | 'me'} command */
  #meta(command) {
    return this.#line([command, this.#key(), ...this.#flags(command)])
  }

  /** @param {keyof typeof FLAGS} command */
  #flags(command) {
    const random = this.#random
    const flags = new Set()
    for (let count = random.below(6); count > 0; count--) flags.add(random.of(FLAGS[command]))
    const words = [...flags].map((flag) => flag + this.#argument(command, flag))
    if (random.oneIn(25)) words.push(random.of(ODD_FLAGS))
    if (random.oneIn(25)) words.push(words[0] ?? 'v')
    return words
  }

  /**
   * @param {keyof typeof FLAGS} command
   * @param {string} flag
   */
  #argument(command, flag) {
    const random = this.#random
    if (flag === 'M') return random.of(command === 'ma' ? ARITHMETIC_MODES : META_SET_MODES)
    // memcached refuses an opaque that is too long after mg and ma have done their work; ours does before.
    const longest = command === 'mg' || command === 'ma' ? 31 : 33
    if (flag === 'O')
      return random.oneIn(12) ? 'o'.repeat(longest - random.below(4)) : random.of(['', '1', 'abc', '\xff'])
    if (flag === 'P' || flag === 'L') return random.of(['', 'path', '1'])
    if (!TAKES_NUMBER.includes(flag)) return random.oneIn(40) ? random.of(['1', 'x']) : ''
    return this.#number('TNR'.includes(flag) ? TTLS : GOOD_NUMBERS)
  }

  #key() {
    const random = this.#random
    const key = random.of(this.#keys)
    if (random.below(30) > 0) return key
    const base64 = Buffer.from(key).toString('base64')
    return random.of([base64, base64, 'k'.repeat(250), 'k'.repeat(251), `${key}\r`, `${key}\t`, `${key}\xff`, '', '='])
  }

  /** For a retrieval with a key that is too long memcached also drops the replies to what came before in the packet. */
  #shortKey() {
    const key = this.#key()
    return key.length > 250 ? key.slice(0, 250) : key
  }

  /** @param {readonly string[]} usual */
  #number(usual) {
    return this.#random.oneIn(8) ? this.#random.of(NUMBERS) : this.#random.of(usual)
  }

  #noreply() {
    return this.#random.oneIn(5)
      ? this.#random.of(['noreply', 'noreply', 'noreply', 'noreply ', 'NOREPLY', 'x'])
      : undefined
  }

  /** @param {readonly (string | undefined)[]} words */
  #line(words) {
    const random = this.#random
    const separator = random.oneIn(40) ? '  ' : ' '
    const line = words.filter((word) => word !== undefined).join(separator)
    return `${line}${random.oneIn(60) ? ' ' : ''}${random.oneIn(60) ? '\n' : '\r\n'}`
  }
}

/**
 * So many exchanges of a seed, each as the bytes of one packet.
 *
 * @param {number} seed
 * @param {number} count
 */
export function fuzzRequests(seed, count) {
  const random = new Random(seed)
  return Array.from({ length: count }, (_, number) => new ExchangeMaker(random, number).make())
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [seed = '1', count = '1000'] = process.argv.slice(2)
  for (const bytes of fuzzRequests(Number(seed), Number(count))) console.log(escapeBytes(bytes))
}
