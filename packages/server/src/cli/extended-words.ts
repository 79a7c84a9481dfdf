import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { OptionRange } from 'memcache-ts-protocol'
import type { MemcachedServerOptions } from '../options.ts'
import { TLS_KEY_FORMATS, TLS_VERIFY_MODES, TLS_VERSIONS } from '../tls/tls-options.ts'
import type { ServerTlsOptions } from '../tls/tls-options.ts'
import type { ServerTuning } from '../tuning.ts'

/** The collected settings of the words of `-o`. */
export interface Extended {
  readonly tuning: { -readonly [Name in keyof ServerTuning]?: ServerTuning[Name] }
  readonly options: Pick<MemcachedServerOptions, 'idleTimeoutSeconds' | 'watcherBufferBytes' | 'maxPendingResponses'>
  readonly tls: Partial<ServerTlsOptions>
  /** The share of one of `-t` threads limits the responses that wait. */
  readBufferMegabytes: number
  /** Words that can have no effect here. */
  readonly ignored: string[]
}

/** One word: the placeholder for its value in the help (none for a switch), and its effect. */
interface Word {
  readonly value?: string
  readonly help?: string
  readonly apply?: (extended: Extended, value: string, word: string) => void
}

const PAGE_KILOBYTES = 1024

const WORDS: Readonly<Record<string, Word>> = {
  // In the order of memcached's help. A word without `apply` has no effect here; a warning at the start says so.
  maxconns_fast: { apply: () => {} },
  no_maxconns_fast: {},
  hashpower: {
    value: '<num>',
    help: "log2 of the hash index's first size, 12 to 28 (default: 16)",
    apply: ({ tuning }, value, word) => {
      // memcached accepts 29 to 32; the index here ends at 28.
      tuning.hashPower = Math.min(28, whole(word, value, [12, 32]))
    },
  },
  tail_repair_time: {
    value: '<secs>',
    help: 'items sent for so long leave the tail of their LRU (default: 0, never)',
    apply: tuneWhole('tailRepairSeconds', [10, 0x7fff_ffff]),
  },
  hash_algorithm: { value: '<name>' },
  lru_crawler: { help: 'look for expired items (default; no_ for off)', apply: tune({ lruCrawler: true }) },
  no_lru_crawler: { apply: tune({ lruCrawler: false }) },
  lru_crawler_sleep: {
    value: '<microseconds>',
    help: 'shown by stats settings; steps are 1 ms apart',
    apply: tuneWhole('lruCrawlerSleep', [0, 1_000_000]),
  },
  lru_crawler_tocrawl: {
    value: '<items>',
    help: 'most items that one crawl looks at in a list (default: 0, all)',
    apply: tuneWhole('lruCrawlerTocrawl', [0, 0xffff_ffff]),
  },
  read_buf_mem_limit: {
    value: '<megabytes>',
    help: 'refuse to gather more responses than memcached does under this limit (default: 0, none)',
    apply: (extended, value, word) => {
      extended.readBufferMegabytes = whole(word, value, [0, 4095])
    },
  },
  resp_obj_mem_limit: { value: '<megabytes>' },
  lru_maintainer: {
    help: 'LRU in segments, kept in the background (default; no_ for off)',
    apply: tune({ lruMaintainer: true, lruSegmented: true }),
  },
  no_lru_maintainer: { apply: tune({ lruMaintainer: false, lruSegmented: false }) },
  hot_lru_pct: {
    value: '<pct>',
    help: 'share of a class that may be HOT (default: 20)',
    apply: tuneWhole('hotLruPercent', [1, 79]),
  },
  warm_lru_pct: {
    value: '<pct>',
    help: 'share of a class that may be WARM (default: 40)',
    apply: tuneWhole('warmLruPercent', [1, 79]),
  },
  hot_max_factor: {
    value: '<num>',
    help: 'HOT items older than this × the age of COLD leave (default: 0.2)',
    apply: tuneNumber('hotMaxFactor'),
  },
  warm_max_factor: {
    value: '<num>',
    help: 'the same for WARM (default: 2)',
    apply: tuneNumber('warmMaxFactor'),
  },
  temporary_ttl: {
    value: '<secs>',
    help: 'items that expire sooner are never evicted (default: off)',
    apply: tuneWhole('temporaryTtlSeconds', [0, 0x7fff_ffff]),
  },
  idle_timeout: {
    value: '<secs>',
    help: 'close connections that send nothing for so long (default: 0, never)',
    apply: (extended, value, word) => {
      extended.options.idleTimeoutSeconds = whole(word, value, [0, 0x7fff_ffff])
    },
  },
  slab_chunk_max: {
    value: '<kilobytes>',
    help: 'largest chunk; larger items are chains of them (default: 512)',
    apply: ({ tuning }, value, word) => {
      if (Number(value) > PAGE_KILOBYTES) {
        throw new MemcacheOptionError(
          `-o ${word} is in kilobytes, from 1 to ${PAGE_KILOBYTES}, got '${value}'. memcached 1.6.18 took bytes: divide by 1024`,
        )
      }
      tuning.largestChunkBytes = whole(word, value, [1, PAGE_KILOBYTES]) * 1024
    },
  },
  slab_sizes: {
    value: '<a-b-c>',
    help: 'the chunk sizes themselves, in bytes',
    apply: ({ tuning }, value, word) => {
      tuning.slabSizes = value.split('-').map((size) => whole(word, size, [48, PAGE_KILOBYTES * 1024]))
    },
  },
  no_chunked_items: { apply: tune({ largestChunkBytes: PAGE_KILOBYTES * 1024 }) },
  slab_reassign: { help: 'pages may move between classes (default; no_ for off)', apply: tune({ slabReassign: true }) },
  no_slab_reassign: { apply: tune({ slabReassign: false }) },
  slab_automove: {
    value: '<0|1|2>?',
    help: 'pages move by themselves: 0 never, 1 with the load, 2 at every eviction (default: 1)',
    apply: ({ tuning }, value, word) => {
      tuning.slabAutomove = value === '' ? 1 : whole(word, value, [0, 2])
    },
  },
  no_slab_automove: { apply: tune({ slabAutomove: 0 }) },
  slab_automove_ratio: {
    value: '<num>',
    help: 'how much younger a class that gets a page must be (default: 0.8)',
    apply: tuneNumber('slabAutomoveRatio'),
  },
  slab_automove_window: {
    value: '<secs>',
    help: 'seconds over which is judged (default: 10)',
    apply: tuneWhole('slabAutomoveWindow', [3, 1800]),
  },
  watcher_logbuf_size: {
    value: '<kilobytes>',
    help: 'lines that wait for a client that watches (default: 256)',
    apply: (extended, value, word) => {
      extended.options.watcherBufferBytes = whole(word, value, [2, 1024 * 1024]) * 1024
    },
  },
  worker_logbuf_size: { value: '<kilobytes>' },
  track_sizes: { help: 'count for stats sizes', apply: tune({ trackSizes: true }) },
  no_hashexpand: {},
  modern: { help: 'no effect: it is the default', apply: () => {} },
  no_modern: {
    help: 'defaults of memcached 1.4: one LRU a class, no background work',
    apply: ({ tuning }) => {
      tuning.largestChunkBytes ??= PAGE_KILOBYTES * 1024
      Object.assign(tuning, {
        slabReassign: false,
        slabAutomove: 0,
        lruSegmented: false,
        lruCrawler: false,
        lruMaintainer: false,
      } satisfies Partial<ServerTuning>)
    },
  },
  sock_cookie_id: { value: '<id>' },
  inline_ascii_resp: {},
  no_inline_ascii_resp: { apply: () => {} },
  drop_privileges: {},
  no_drop_privileges: { apply: () => {} },
  relaxed_privileges: { apply: () => {} },
  ssl_chain_cert: {
    value: '<file>',
    help: 'PEM file of the certificate and its chain; -Z needs it',
    apply: ({ tls }, value) => {
      tls.chainCertFile = value
    },
  },
  ssl_key: {
    value: '<file>',
    help: 'private key, unless the file of ssl_chain_cert holds it too',
    apply: ({ tls }, value) => {
      tls.keyFile = value
    },
  },
  ssl_verify_mode: {
    value: '<mode>',
    help: 'client certificates: 0 none, 1 request, 2 require, 3 once (default: 0)',
    apply: ({ tls }, value, word) => {
      tls.verifyMode = TLS_VERIFY_MODES[whole(word, value, [0, 3])]
    },
  },
  ssl_keyformat: {
    value: '<format>',
    help: 'format of the private key: 1 PEM, 2 DER (default: 1)',
    apply: ({ tls }, value, word) => {
      tls.keyFormat = TLS_KEY_FORMATS[whole(word, value, [1, 2]) - 1]
    },
  },
  ssl_ciphers: {
    value: '<ciphers>',
    help: 'cipher list, for TLS 1.2 and older',
    apply: ({ tls }, value) => {
      tls.ciphers = value
    },
  },
  ssl_ca_cert: {
    value: '<file>',
    help: "PEM file of the authorities that sign clients' certificates",
    apply: ({ tls }, value) => {
      tls.caCertFile = value
    },
  },
  ssl_wbuf_size: {
    value: '<kilobytes>',
    help: 'shown by stats settings; buffers grow by themselves (default: 16)',
    apply: ({ tls }, value, word) => {
      tls.writeBufferBytes = whole(word, value, [0, 0x3f_ffff]) * 1024
    },
  },
  ssl_session_cache: {
    help: 'clients may resume a session',
    apply: ({ tls }) => {
      tls.sessionCache = true
    },
  },
  ssl_kernel_tls: {},
  ssl_min_version: {
    value: '<version>',
    help: 'oldest version: 0 tlsv1.0, 1 tlsv1.1, 2 tlsv1.2, 3 tlsv1.3 (default: 2)',
    apply: ({ tls }, value, word) => {
      tls.minVersion = TLS_VERSIONS[whole(word, value, [0, 3])]
    },
  },
  proxy_config: { value: '<file>' },
  proxy_arg: { value: '<text>' },
  proxy_uring: {},
  proxy_memprofile: {},
  ext_path: { value: '<file>' },
  ext_page_size: { value: '<megabytes>' },
  ext_wbuf_size: { value: '<megabytes>' },
  ext_threads: { value: '<num>' },
  ext_io_depth: { value: '<num>' },
  ext_item_size: { value: '<bytes>' },
  ext_item_age: { value: '<secs>' },
  ext_low_ttl: { value: '<secs>' },
  ext_recache_rate: { value: '<num>' },
  ext_compact_under: { value: '<num>' },
  ext_drop_under: { value: '<num>' },
  ext_max_sleep: { value: '<microseconds>' },
  ext_max_frag: { value: '<num>' },
  ext_drop_unread: {},
  no_ext_drop_unread: { apply: () => {} },
  slab_automove_freeratio: { value: '<num>' },
}

/** Reads one comma list of `-o` into `extended`. */
export function readExtendedWords(text: string, extended: Extended): void {
  for (const part of text.split(',')) {
    if (part === '') continue
    const [word, ...rest] = part.split('=')
    const known = Object.hasOwn(WORDS, word!) ? WORDS[word!] : undefined
    if (known === undefined) {
      throw new MemcacheOptionError(`-o has no word '${word}'; memcache-ts-server --help lists them`)
    }
    const value = rest.join('=')
    if (value === '' && known.value?.endsWith('>') === true) {
      throw new MemcacheOptionError(`-o ${word} needs a value: ${word}=${known.value}`)
    }
    if (known.apply === undefined) extended.ignored.push(word!)
    else known.apply(extended, value, word!)
  }
}

/** Returns the lines of the help about `-o`. */
export function extendedHelp(): string[] {
  return Object.entries(WORDS)
    .filter(([, { help }]) => help !== undefined)
    .map(([word, { value, help }]) => `   - ${`${word}${value === undefined ? '' : `=${value}`}`.padEnd(36)}${help}`)
}

function tune(change: Partial<ServerTuning>): NonNullable<Word['apply']> {
  return ({ tuning }) => void Object.assign(tuning, change)
}

/** The tuning whose value is a number. */
type NumericTuning = {
  [Name in keyof ServerTuning]-?: ServerTuning[Name] extends number | undefined ? Name : never
}[keyof ServerTuning]

function tuneWhole(name: NumericTuning, range: OptionRange): NonNullable<Word['apply']> {
  return ({ tuning }, value, word) => {
    tuning[name] = whole(word, value, range)
  }
}

function tuneNumber(name: NumericTuning): NonNullable<Word['apply']> {
  return ({ tuning }, value, word) => {
    tuning[name] = number(word, value)
  }
}

function whole(word: string, text: string, [min, max]: OptionRange): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new MemcacheOptionError(`-o ${word} must be a whole number from ${min} to ${max}, got '${text}'`)
  }
  return value
}

function number(word: string, text: string): number {
  const value = Number(text)
  if (text === '' || !(value > 0))
    throw new MemcacheOptionError(`-o ${word} must be a number greater than 0, got '${text}'`)
  return value
}
