// Random requests of the binary protocol, for `conformance/record.js`, as conformance/fuzz-requests.js makes those of
// the others: `node conformance/fuzz-binary-requests.js <seed> <exchanges> > <requests>`. Each exchange ends with a
// no-op. Record them from a memcached with `-o no_lru_maintainer`: otherwise the padding of numbers depends on its
// threads (docs/decisions/0003).
import { escapeBytes } from 'memcache-ts-testing'
import { Opcode } from 'memcache-ts-protocol'
import { fileURLToPath } from 'node:url'
import { Random } from './fuzz-requests.js'

const NOOP_OPAQUE = 0x7e7e7e7e
const TTLS = [0, 100, 1000, 2_592_000, 2_592_001, 0x7fff_ffff, 0xffff_fffe]
const NUMBERS = [0n, 1n, 5n, 99n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n]
const VALUES = ['', '5', '9', '99', '100', 'abc', ' 5', '5 ', '18446744073709551615', 'x y\r\nz']
/** Opcodes whose extras, key and value are made as they should be, more often than not. */
const STORES = [Opcode.set, Opcode.add, Opcode.replace, Opcode.setQuietly, Opcode.addQuietly, Opcode.replaceQuietly]
const APPENDS = [Opcode.append, Opcode.prepend, Opcode.appendQuietly, Opcode.prependQuietly]
const FETCHES = [Opcode.get, Opcode.getKey, Opcode.getQuietly, Opcode.getKeyQuietly, Opcode.get]
const TOUCHES = [
  Opcode.touch,
  Opcode.getAndTouch,
  Opcode.getAndTouchQuietly,
  Opcode.getAndTouchKey,
  Opcode.getAndTouchKeyQuietly,
]
const ADDS = [Opcode.increment, Opcode.decrement, Opcode.incrementQuietly, Opcode.decrementQuietly]
const DELETES = [Opcode.delete, Opcode.deleteQuietly]

/**
 * @param {number} opcode
 * @param {Buffer} extras
 * @param {string} key
 * @param {string} value
 * @param {number} opaque
 * @param {bigint} cas
 */
function packet(opcode, extras, key, value, opaque, cas) {
  const header = Buffer.alloc(24)
  header[0] = 0x80
  header[1] = opcode
  header.writeUInt16BE(key.length, 2)
  header[4] = extras.length
  header.writeUInt32BE(extras.length + key.length + value.length, 8)
  header.writeUInt32BE(opaque, 12)
  header.writeBigUInt64BE(cas, 16)
  return Buffer.concat([header, extras, Buffer.from(key, 'latin1'), Buffer.from(value, 'latin1')]).toString('latin1')
}

/**
 * @param {Random} random
 * @param {number} number
 */
function exchange(random, number) {
  const key = () => `b${number}${random.of(['a', 'b'])}`
  const cas = () => (random.oneIn(6) ? random.of([2n ** 40n, 2n ** 63n, 2n ** 64n - 1n]) : 0n)
  let bytes = ''
  for (let commands = 2 + random.below(8); commands > 0; commands--) {
    const opaque = random.below(2 ** 32)
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2: {
        const extras = Buffer.alloc(8)
        extras.writeUInt32BE(random.of([0, 1, 0xdead_beef]), 0)
        extras.writeUInt32BE(random.of(TTLS), 4)
        bytes += packet(random.of(STORES), extras, key(), random.of(VALUES), opaque, cas())
        break
      }
      case 3:
        bytes += packet(random.of(APPENDS), Buffer.alloc(0), key(), random.of(VALUES), opaque, cas())
        break
      case 4:
      case 5:
        bytes += packet(random.of(FETCHES), Buffer.alloc(0), key(), '', opaque, 0n)
        break
      case 6: {
        const extras = Buffer.alloc(4)
        extras.writeUInt32BE(random.of(TTLS))
        bytes += packet(random.of(TOUCHES), extras, key(), '', opaque, 0n)
        break
      }
      case 7:
      case 8: {
        const extras = Buffer.alloc(20)
        extras.writeBigUInt64BE(random.of(NUMBERS), 0)
        extras.writeBigUInt64BE(random.of(NUMBERS), 8)
        extras.writeUInt32BE(random.oneIn(2) ? 0xffff_ffff : random.of(TTLS), 16)
        bytes += packet(random.of(ADDS), extras, key(), '', opaque, cas())
        break
      }
      case 9:
        bytes += packet(random.of(DELETES), Buffer.alloc(0), key(), '', opaque, cas())
        break
      case 10:
        bytes += packet(
          random.of([Opcode.noop, Opcode.verbosity, 0x25, 0x7f, 0xff]),
          Buffer.alloc(0),
          '',
          '',
          opaque,
          cas(),
        )
        break
      default:
        // Extras, key and value that the command may not have: the connection is closed.
        if (random.oneIn(2)) {
          const opcode = random.of([...STORES, ...APPENDS, ...FETCHES, ...TOUCHES, ...ADDS, ...DELETES, Opcode.flush])
          const wrongKey = random.of(['', key(), 'k'.repeat(250), 'k'.repeat(251)])
          return bytes + packet(opcode, Buffer.alloc(random.of([1, 3, 5, 7, 12])), wrongKey, '', opaque, 0n)
        }
    }
  }
  return bytes + packet(Opcode.noop, Buffer.alloc(0), '', '', NOOP_OPAQUE, 0n)
}

/**
 * So many exchanges of a seed, each as the bytes of one packet.
 *
 * @param {number} seed
 * @param {number} count
 */
export function fuzzBinaryRequests(seed, count) {
  const random = new Random(seed)
  return Array.from({ length: count }, (_, number) => exchange(random, number))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [seed = '1', count = '1000'] = process.argv.slice(2)
  for (const bytes of fuzzBinaryRequests(Number(seed), Number(count))) console.log(escapeBytes(bytes))
}
