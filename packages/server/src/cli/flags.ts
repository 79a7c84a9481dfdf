import type { Flag } from './getopt.ts'

/** memcached 1.6.45's flags in the order of its help, then our own. */
export const FLAGS = {
  port: {
    short: 'p',
    long: 'port',
    value: '<num>',
    help: 'TCP port to listen on (default: 11211, 0 is off, -1 a free one)',
  },
  udpPort: {
    short: 'U',
    long: 'udp-port',
    value: '<num>',
    help: 'UDP port to listen on (default: 0, off; -1 a free one); sets the TCP port too without -p',
  },
  unixSocket: { short: 's', long: 'unix-socket', value: '<file>', help: 'unix socket to listen on, instead of TCP' },
  unixMask: {
    short: 'a',
    long: 'unix-mask',
    value: '<mask>',
    help: 'access mask of the unix socket, in octal (default: 700)',
  },
  enableShutdown: { short: 'A', long: 'enable-shutdown', help: 'enable the "shutdown" command' },
  listen: {
    short: 'l',
    long: 'listen',
    value: '<addr>',
    help: 'address to listen on, host or host:port, a comma list (default: 127.0.0.1)',
  },
  daemon: { short: 'd', long: 'daemon', help: 'run in the background; returns when it listens' },
  coredumps: { short: 'r', long: 'enable-coredumps', help: 'accepted, without effect' },
  user: {
    short: 'u',
    long: 'user',
    value: '<user>',
    help: 'user to run as, required when started as root (root stays root)',
  },
  memoryLimit: { short: 'm', long: 'memory-limit', value: '<num>', help: 'item memory in megabytes (default: 64)' },
  disableEvictions: {
    short: 'M',
    long: 'disable-evictions',
    help: 'refuse new items when memory is full, instead of evicting',
  },
  connLimit: { short: 'c', long: 'conn-limit', value: '<num>', help: 'most connections at once (default: 1024)' },
  lockMemory: { short: 'k', long: 'lock-memory', help: 'accepted, without effect' },
  verbose: { short: 'v', long: 'verbose', help: '-vv: log connections and commands to standard error' },
  help: { short: 'h', long: 'help', help: 'print this help and exit' },
  license: { short: 'i', long: 'license', help: 'print the license and exit' },
  version: { short: 'V', long: 'version', help: 'print the version and exit' },
  pidfile: { short: 'P', long: 'pidfile', value: '<file>', help: 'file to write the process id to' },
  growthFactor: {
    short: 'f',
    long: 'slab-growth-factor',
    value: '<num>',
    help: 'growth of chunk sizes from class to class (default: 1.25)',
  },
  minItemBytes: {
    short: 'n',
    long: 'slab-min-size',
    value: '<bytes>',
    help: 'least room for key, value and client flags (default: 48)',
  },
  largePages: { short: 'L', long: 'enable-largepages', help: 'accepted, without effect' },
  prefixDelimiter: {
    short: 'D',
    long: 'prefix-delimiter',
    value: '<char>',
    help: 'count by key prefix up to this character, see "stats detail" (default: :, off)',
  },
  threads: { short: 't', long: 'threads', value: '<num>', help: 'accepted; there is one thread' },
  maxRequests: {
    short: 'R',
    long: 'max-reqs-per-event',
    value: '<num>',
    help: 'requests of one connection before the others have their turn (default: 20)',
  },
  disableCas: { short: 'C', long: 'disable-cas', help: 'items have no cas unique' },
  backlog: {
    short: 'b',
    long: 'listen-backlog',
    value: '<num>',
    help: 'connections that wait to be accepted (default: 1024)',
  },
  protocol: {
    short: 'B',
    long: 'protocol',
    value: '<name>',
    help: 'ascii, binary, or auto, by the first byte of a connection (default: auto)',
  },
  itemMax: {
    short: 'I',
    long: 'max-item-size',
    value: '<num>',
    help: 'largest item, with k or m (default: 1m, min: 1k, max: 1024m)',
  },
  sasl: {
    short: 'S',
    long: 'enable-sasl',
    help: 'clients authenticate by SASL PLAIN, binary protocol only; MEMCACHED_SASL_PWDB names the file of user:password lines',
  },
  disableFlush: { short: 'F', long: 'disable-flush-all', help: 'refuse flush_all' },
  disableDumping: {
    short: 'X',
    long: 'disable-dumping',
    help: 'refuse stats cachedump, stats detail and lru_crawler metadump',
  },
  disableWatch: { short: 'W', long: 'disable-watch', help: 'refuse watch' },
  authFile: {
    short: 'Y',
    long: 'auth-file',
    value: '<file>',
    help: 'clients authenticate first; a user:password a line, read again on SIGHUP',
  },
  memoryFile: {
    short: 'e',
    long: 'memory-file',
    value: '<file>',
    help: 'keep the items over a restart: SIGUSR1 writes them, the next start reads them',
  },
  ssl: {
    short: 'Z',
    long: 'enable-ssl',
    help: 'encrypt TCP connections (TLS); -l takes notls:, btls: and mtls: before an address',
  },
  extended: { short: 'o', long: 'extended', value: '<words>', help: 'comma list of the words below' },
  napiIds: { short: 'N', long: 'napi_ids', value: '<num>', help: 'accepted, without effect' },
  udpReplyMax: {
    long: 'udp-reply-max',
    value: '<bytes>',
    help: 'longest reply by UDP to an address other than loopback, with k or m (default: 0, no longer than the request)',
  },
  dashboard: {
    long: 'dashboard',
    value: '<addr>',
    isValueOptional: true,
    help: 'serve a dashboard and /metrics over HTTP (default: 127.0.0.1:11212)',
  },
  dashboardToken: {
    long: 'dashboard-token',
    value: '<token>',
    help: 'opens its key browser and actions; or the variable MEMCACHE_DASHBOARD_TOKEN, which ps does not show',
  },
  debugCommands: { long: 'debug-commands', help: 'enable "debugtime <seconds>", which moves the clock, for tests' },
} as const satisfies Record<string, Flag>

/** A flag's name in `FLAGS`. */
export type FlagName = keyof typeof FLAGS

/** The flags of the options that the server itself checks. */
const FLAG_OF_OPTION: Readonly<Record<string, string>> = {
  memoryLimitMb: '-m',
  itemMaxBytes: '-I',
  growthFactor: '-f',
  minItemBytes: '-n',
  hashPower: '-o hashpower',
  largestChunkBytes: '-o slab_chunk_max',
  slabSizes: '-o slab_sizes',
  hotLruPercent: '-o hot_lru_pct',
  warmLruPercent: '-o warm_lru_pct',
  hotMaxFactor: '-o hot_max_factor',
  warmMaxFactor: '-o warm_max_factor',
  tailRepairSeconds: '-o tail_repair_time',
  temporaryTtlSeconds: '-o temporary_ttl',
  lruMaintainer: '-o lru_maintainer',
  slabAutomove: '-o slab_automove',
  slabAutomoveRatio: '-o slab_automove_ratio',
  slabAutomoveWindow: '-o slab_automove_window',
  lruCrawlerSleep: '-o lru_crawler_sleep',
}

/** Returns a message of the server with the flags in place of its options. */
export function inFlags(message: string): string {
  return message.replaceAll(/\b[a-z]+[A-Z]\w+/g, (word) => FLAG_OF_OPTION[word] ?? word)
}
