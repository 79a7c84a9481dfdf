import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { MemcachedServerOptions } from '../options.ts'
import { pendingResponses } from '../tuning.ts'
import type { ServerTlsOptions } from '../tls/tls-options.ts'
import { extendedHelp, readExtendedWords } from './extended-words.ts'
import type { Extended } from './extended-words.ts'
import { FLAGS } from './flags.ts'
import type { FlagName } from './flags.ts'
import { getopt } from './getopt.ts'
import type { Flag, GivenFlag } from './getopt.ts'

/** The order to start a server: the options of the library, and the settings that only the command line has. */
export interface ServeOrder {
  readonly action: 'serve'
  readonly options: MemcachedServerOptions
  /** Whether the server listens at all: with `-p 0` and without a unix socket it does not. */
  readonly listens: boolean
  readonly daemon: boolean
  readonly pidfile: string | undefined
  readonly user: string | undefined
  /** A line for each flag that was accepted but has no effect. */
  readonly warnings: readonly string[]
}

/** The parsed command line. */
export type CommandLine = { readonly action: 'help' | 'version' | 'license' } | ServeOrder

const NO_EFFECT: Readonly<Partial<Record<FlagName, string>>> = {
  coredumps: '-r has no effect: set the limit of core files where you start it',
  lockMemory: '-k has no effect: Node cannot lock memory',
  largePages: '-L has no effect: memory is allocated page by page',
  napiIds: '-N has no effect: there is one thread',
}

/**
 * Reads the command line.
 *
 * @throws MemcacheOptionError with one line that says what is wrong.
 */
export function readCommandLine(args: readonly string[], environment = process.env): CommandLine {
  const given = getopt(args, FLAGS)
  const requested = (['help', 'version', 'license'] as const).find((action) =>
    given.some(({ name }) => name === action),
  )
  if (requested !== undefined) return { action: requested }
  const reading = new Reading()
  for (const flag of given) reading.apply(flag)
  return reading.finish(environment)
}

/** Returns the text of `--help`. */
export function helpText(version: string): string {
  const lines = Object.values(FLAGS).map(({ short, long, value, help }: Flag) => {
    const names = `${short === undefined ? '    ' : `-${short}, `}--${long}${value === undefined ? '' : `=${value}`}`
    return `${names.padEnd(34)}${help}`
  })
  return [
    `memcache-ts-server ${version}: a memcached in TypeScript`,
    ...lines,
    ...extendedHelp(),
    '',
    'Every flag and -o word of memcached 1.6.45 is accepted; those without effect here say so when it starts.',
    'It listens on loopback only, since it requires no password; -l sets other addresses.',
  ].join('\n')
}

const TLS_PREFIX = /^(?:notls|btls|mtls):/

/** The flags read so far. */
class Reading {
  readonly #options: MemcachedServerOptions = {}
  readonly #extended: Extended = { tuning: {}, options: {}, tls: {}, readBufferMegabytes: 0, ignored: [] }
  readonly #warnings: string[] = []
  readonly #hosts: string[] = []
  #tcpPort: number | undefined
  #udpPort: number | undefined
  #threads = 1
  /** Whether `-B` allows more than text. */
  #hasOtherProtocol = false
  #hasSasl = false
  #hasTls = false
  #daemon = false
  #pidfile: string | undefined
  #user: string | undefined

  apply({ name, text, value }: GivenFlag<FlagName>): void {
    const options = this.#options
    const noEffect = NO_EFFECT[name]
    if (noEffect !== undefined) {
      this.#warnings.push(noEffect)
      return
    }
    switch (name) {
      case 'port':
        this.#tcpPort = readPort(text, value)
        break
      case 'udpPort':
        this.#udpPort = readPort(text, value)
        break
      case 'udpReplyMax':
        options.udpReplyMaxBytes = readSize(text, value)
        break
      case 'unixSocket':
        options.unixSocket = value
        break
      case 'unixMask':
        if (!/^[0-7]{1,4}$/.test(value)) throw new MemcacheOptionError(`${text} needs an octal mask, got '${value}'`)
        options.unixSocketMode = Number.parseInt(value, 8) & 0o777
        break
      case 'enableShutdown':
        options.enableShutdown = true
        break
      case 'listen':
        this.#hosts.push(
          ...value
            .split(/[,;]/)
            .filter((host) => host !== '')
            .map(checkListenAddress),
        )
        break
      case 'daemon':
        this.#daemon = true
        break
      case 'user':
        this.#user = value
        break
      case 'memoryLimit':
        options.memoryLimitMb = readWhole(text, value, 1)
        break
      case 'disableEvictions':
        options.disableEvictions = true
        break
      case 'connLimit':
        options.maxConnections = readWhole(text, value, 1)
        break
      case 'verbose':
        options.verbosity = (options.verbosity ?? 0) + 1
        break
      case 'pidfile':
        this.#pidfile = value
        break
      case 'growthFactor':
        if (!(Number(value) > 1)) throw new MemcacheOptionError(`${text} must be greater than 1, got '${value}'`)
        this.#extended.tuning.growthFactor = Number(value)
        break
      case 'minItemBytes':
        this.#extended.tuning.minItemBytes = readWhole(text, value, 1)
        break
      case 'prefixDelimiter':
        if (value === '') throw new MemcacheOptionError(`${text} needs a character`)
        options.prefixDelimiter = value[0]
        break
      case 'threads':
        this.#threads = readWhole(text, value, 1)
        if (this.#threads > 1) this.#warnings.push(`${text} ${value} has no effect: there is one thread`)
        break
      case 'maxRequests':
        options.maxRequestsPerEvent = readWhole(text, value, 1)
        break
      case 'disableCas':
        options.disableCas = true
        break
      case 'backlog':
        options.backlog = readWhole(text, value, 1)
        break
      case 'protocol':
        this.#setProtocol(text, value)
        break
      case 'itemMax':
        options.itemMaxBytes = readSize(text, value)
        break
      case 'disableFlush':
        options.disableFlushAll = true
        break
      case 'disableDumping':
        options.disableDumping = true
        break
      case 'disableWatch':
        options.disableWatch = true
        break
      case 'authFile':
        if (value === '') throw new MemcacheOptionError(`${text} needs a file`)
        options.authFile = value
        break
      case 'sasl':
        this.#hasSasl = true
        break
      case 'memoryFile':
        if (value === '') throw new MemcacheOptionError(`${text} needs a file`)
        options.memoryFile = value
        break
      case 'extended':
        readExtendedWords(value, this.#extended)
        break
      case 'ssl':
        this.#hasTls = true
        break
      case 'dashboard':
        options.dashboard = value === '' ? true : value
        break
      case 'dashboardToken':
        options.dashboardToken = value
        break
      case 'debugCommands':
        options.debugCommands = true
        break
      default:
    }
  }

  finish(environment: NodeJS.ProcessEnv): ServeOrder {
    const { tuning, options: extended, ignored, readBufferMegabytes } = this.#extended
    if (this.#hasSasl) this.#requireSaslAlone(environment)
    if (this.#options.authFile !== undefined) {
      // As in memcached, another protocol must not give access without a password.
      if (this.#hasOtherProtocol)
        throw new MemcacheOptionError(
          'ERROR: You cannot allow the BINARY protocol while using ascii authentication tokens. Leave out -B, or use -B ascii',
        )
      if ((this.#udpPort ?? 0) !== 0)
        throw new MemcacheOptionError('Cannot use UDP with ascii authentication enabled (-U 0 to disable)')
    }
    const allocated = environment['T_MEMD_INITIAL_MALLOC']
    // memcached's own tests pretend to have allocated more memory than they have.
    if (this.#options.debugCommands === true && allocated !== undefined) tuning.reservedBytes = Number(allocated)
    if (readBufferMegabytes > 0) {
      extended.maxPendingResponses = pendingResponses(readBufferMegabytes * 1024 * 1024, this.#threads)
    }
    if (ignored.length > 0) this.#warnings.push(`-o ${ignored.join(',')} has no effect`)
    // As in memcached, -U alone sets the TCP port too; 0 means none, -1 any free port.
    const udpPort = this.#udpPort ?? 0
    const port = this.#tcpPort ?? (udpPort === 0 ? undefined : udpPort)
    const options: MemcachedServerOptions = { ...this.#options, ...extended, tuning }
    if (this.#hasTls) options.tls = this.#readTls(port)
    else this.#checkWithoutTls()
    if (port !== undefined) options.port = Math.max(0, port)
    if (udpPort !== 0) {
      if (options.unixSocket !== undefined) this.#warnings.push('-U has no effect: with a unix socket, there is no UDP')
      else {
        options.udpPort = Math.max(0, udpPort)
        if (this.#hasTls) this.#warnings.push(`-U ${udpPort}: UDP is not encrypted and requires no client certificate`)
        if (this.#hosts.some((host) => !isLoopbackHost(host)) && options.udpReplyMaxBytes === undefined) {
          this.#warnings.push(
            `-U ${udpPort}: other machines get no UDP reply that is longer than its request; see --udp-reply-max`,
          )
        }
        if (port === 0) options.disableTcp = true
      }
    }
    if (this.#hosts.length > 0) options.host = this.#hosts
    return {
      action: 'serve',
      options,
      listens: port !== 0 || options.unixSocket !== undefined || options.udpPort !== undefined,
      daemon: this.#daemon,
      pidfile: this.#pidfile,
      user: this.#user,
      warnings: this.#warnings,
    }
  }

  /** Refuses options that would make passwords necessary in one protocol and not in another, as memcached does. */
  #requireSaslAlone(environment: NodeJS.ProcessEnv): void {
    const { protocol, authFile } = this.#options
    if (protocol !== undefined && protocol !== 'binary') {
      throw new MemcacheOptionError(
        'ERROR: You cannot allow the ASCII protocol while using SASL. Leave out -B, or use -B binary',
      )
    }
    if ((this.#udpPort ?? 0) !== 0) {
      throw new MemcacheOptionError(
        'ERROR: Cannot enable UDP while using binary SASL authentication. Leave out -U, or use -U 0',
      )
    }
    if (authFile !== undefined) {
      throw new MemcacheOptionError(
        '-S and -Y exclude each other, since -S needs the binary protocol and -Y the text protocol: leave one of them out',
      )
    }
    const path = environment['MEMCACHED_SASL_PWDB'] ?? ''
    if (path === '') {
      throw new MemcacheOptionError(
        '-S needs passwords: set MEMCACHED_SASL_PWDB to a file with one user:password per line',
      )
    }
    this.#options.saslPasswordFile = path
  }

  #readTls(port: number | undefined): ServerTlsOptions {
    if (port === 0) throw new MemcacheOptionError('ERROR: You cannot enable SSL without a TCP port.')
    const { chainCertFile, ...tls } = this.#extended.tls
    if (chainCertFile === undefined) {
      throw new MemcacheOptionError('-Z needs a certificate: add -o ssl_chain_cert=<file>,ssl_key=<file>')
    }
    return { chainCertFile, ...tls }
  }

  #checkWithoutTls(): void {
    const tagged = this.#hosts.find((host) => TLS_PREFIX.test(host))
    if (tagged !== undefined) {
      const [prefix] = tagged.split(':')
      throw new MemcacheOptionError(`-l ${tagged}: '${prefix}' option is valid only when SSL is enabled: add -Z`)
    }
    if (Object.keys(this.#extended.tls).length > 0) this.#warnings.push('-o ssl_… has no effect without -Z')
  }

  #setProtocol(text: string, value: string): void {
    if (value !== 'auto' && value !== 'ascii' && value !== 'binary') {
      throw new MemcacheOptionError(`${text} must be one of auto, binary or ascii, got '${value}'`)
    }
    this.#hasOtherProtocol = value !== 'ascii'
    this.#options.protocol = value
  }
}

function readWhole(flag: string, text: string, least: number): number {
  const value = Number(text)
  if (!/^\d+$/.test(text)) throw new MemcacheOptionError(`${flag} needs a whole number, got '${text}'`)
  if (value < least) throw new MemcacheOptionError(`${flag} must be at least ${least}, got ${text}`)
  return value
}

function readPort(flag: string, text: string): number {
  const value = Number(text)
  if (!/^-?\d+$/.test(text) || value < -1 || value > 65_535) {
    throw new MemcacheOptionError(`${flag} needs a port from 1 to 65535, 0 or -1, got '${text}'`)
  }
  return value
}

function isLoopbackHost(host: string): boolean {
  return /^(?:(?:notls|btls|mtls):)?(?:127\.|\[?::1|localhost)/.test(host)
}

/** Reads a number of bytes, which may end in `k` or `m`. */
function readSize(flag: string, text: string): number {
  const match = /^(\d+)([kKmM]?)$/.exec(text)
  if (match === null) throw new MemcacheOptionError(`${flag} needs a size such as 512k or 2m, got '${text}'`)
  const unit = match[2]!.toLowerCase()
  return Number(match[1]) * (unit === 'm' ? 1024 * 1024 : unit === 'k' ? 1024 : 1)
}

/** Refuses an address with a protocol that does not exist here. Removes memcached's tags; the prefixes of TLS stay. */
function checkListenAddress(text: string): string {
  const match = /^((?:notls|btls|mtls):)?(?:proto\[(\w+)\]:)?(?:tag(?:\[\w{1,8}\]|_\w{1,8}_):)?(.*)$/.exec(text)!
  if (match[2] !== undefined && match[2] !== 'ascii' && match[2] !== 'negotiating') {
    throw new MemcacheOptionError(`-l ${text}: the ${match[2]} protocol is not supported`)
  }
  return `${match[1] ?? ''}${match[3]}`
}
