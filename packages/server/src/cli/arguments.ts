import { parseArgs } from 'node:util'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { MemcachedServerOptions } from '../options.ts'

/** One flag of the command line: memcached's own letter, a long name, and what it says in `--help`. */
interface CommandLineFlag {
  readonly short: string
  /** What stands for its value in the help; none for a switch. */
  readonly value?: string
  readonly help: string
}

const FLAGS = {
  port: { short: 'p', value: '<num>', help: 'TCP port to listen on (default: 11211, 0 is a free one)' },
  listen: { short: 'l', value: '<addr>', help: 'address to listen on, as host or host:port (default: 127.0.0.1)' },
  'memory-limit': { short: 'm', value: '<num>', help: 'item memory in megabytes (default: 64)' },
  'conn-limit': { short: 'c', value: '<num>', help: 'most connections at once (default: 1024)' },
  verbose: { short: 'v', help: 'verbose: connections come and go (-vv: more)' },
  help: { short: 'h', help: 'print this help and exit' },
  version: { short: 'V', help: 'print the version and exit' },
} as const satisfies Record<string, CommandLineFlag>

/** What the command line asks for. */
export type CommandLine =
  | { readonly action: 'help' | 'version' }
  | { readonly action: 'serve'; readonly options: MemcachedServerOptions }

/**
 * Reads the command line.
 * @throws MemcacheOptionError with one line that says what is wrong.
 */
export function readCommandLine(args: readonly string[]): CommandLine {
  const values = parse(args)
  if (values.help === true) return { action: 'help' }
  if (values.version === true) return { action: 'version' }
  const { host, port } = readAddress(values.listen)
  return {
    action: 'serve',
    options: {
      host,
      port: values.port === undefined ? port : readNumber('-p', values.port),
      memoryLimitMb: values['memory-limit'] === undefined ? undefined : readNumber('-m', values['memory-limit']),
      maxConnections: values['conn-limit'] === undefined ? undefined : readNumber('-c', values['conn-limit']),
      verbosity: values.verbose?.length ?? 0,
    },
  }
}

/** The text of `--help`. */
export function helpText(version: string): string {
  const lines = Object.entries(FLAGS).map(([name, flag]: [string, CommandLineFlag]) => {
    const left = `-${flag.short}, --${name}${flag.value === undefined ? '' : `=${flag.value}`}`
    return `  ${left.padEnd(28)}${flag.help}`
  })
  return [
    `memcache-ts-server ${version}: a memcached in TypeScript`,
    '',
    'usage: memcache-ts-server [flags]',
    ...lines,
    '',
    'It listens on loopback only unless -l says otherwise: it asks nobody for a password.',
  ].join('\n')
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: false,
      options: {
        port: { type: 'string', short: FLAGS.port.short },
        listen: { type: 'string', short: FLAGS.listen.short },
        'memory-limit': { type: 'string', short: FLAGS['memory-limit'].short },
        'conn-limit': { type: 'string', short: FLAGS['conn-limit'].short },
        verbose: { type: 'boolean', short: FLAGS.verbose.short, multiple: true },
        help: { type: 'boolean', short: FLAGS.help.short },
        version: { type: 'boolean', short: FLAGS.version.short },
      },
    }).values
  } catch (cause) {
    const reason = (cause as Error).message.split('. ')[0]
    throw new MemcacheOptionError(`${reason}; memcache-ts-server --help lists the flags`, { cause })
  }
}

function readNumber(flag: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new MemcacheOptionError(`${flag} wants a whole number, got '${text}'`)
  return Number(text)
}

/** `host`, `host:port`, `[::1]` or `[::1]:port`. */
function readAddress(text: string | undefined): { host?: string; port?: number } {
  if (text === undefined) return {}
  const match = /^(?:\[([^\]]+)\]|([^:]+)|([0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*))(?::(\d+))?$/.exec(text)
  const host = match?.[1] ?? match?.[2] ?? match?.[3]
  if (host === undefined) throw new MemcacheOptionError(`-l wants a host or host:port, got '${text}'`)
  const port = match?.[4]
  return port === undefined ? { host } : { host, port: Number(port) }
}
