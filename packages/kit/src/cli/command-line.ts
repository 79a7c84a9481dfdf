import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import {
  MemcacheConnectionError,
  MemcacheError,
  MemcacheKeyError,
  MemcacheOptionError,
  MemcacheTimeoutError,
} from 'memcache-ts-protocol'
import { bench } from './commands/bench.ts'
import type { BenchOptions } from './commands/bench.ts'
import { completion } from './commands/completion.ts'
import { dashboardCommand } from './commands/dashboard.ts'
import type { DashboardCommandOptions } from './commands/dashboard.ts'
import { deleteKeys, flush } from './commands/delete.ts'
import { doctor } from './commands/doctor.ts'
import type { DoctorOptions } from './commands/doctor.ts'
import type { FlushOptions } from './commands/delete.ts'
import { get } from './commands/get.ts'
import type { GetOptions } from './commands/get.ts'
import { keys } from './commands/keys.ts'
import type { KeysOptions } from './commands/keys.ts'
import { set } from './commands/set.ts'
import type { SetOptions } from './commands/set.ts'
import { isReading, stats } from './commands/stats.ts'
import type { StatsOptions } from './commands/stats.ts'
import { top } from './commands/top.ts'
import type { TopOptions } from './commands/top.ts'
import { warmFile } from './commands/warm.ts'
import type { WarmFileOptions } from './commands/warm.ts'
import { PACKAGE_FOLDER } from '../package-folder.ts'
import type { SharedOptions } from './connect.ts'
import { CommandContext } from './context.ts'
import { CommandError, ExitStatus } from './terminal.ts'
import type { Terminal } from './terminal.ts'

type Action<Options> = (context: CommandContext, options: Options & SharedOptions) => Promise<ExitStatus>

/** Runs `memcache-ts` with these arguments; resolves to its exit status and never rejects. */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<ExitStatus> {
  let status: ExitStatus = ExitStatus.ok
  const program = createProgram(terminal, (ended) => (status = ended))
  try {
    await program.parseAsync(args, { from: 'user' })
    return status
  } catch (error) {
    return report(error, terminal)
  }
}

function report(error: unknown, terminal: Terminal): ExitStatus {
  // commander has written its message already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitStatus.ok : ExitStatus.usage
  terminal.note(`memcache-ts: ${(error as Error).message}`)
  if (error instanceof CommandError) return error.status
  if (error instanceof MemcacheOptionError || error instanceof MemcacheKeyError) return ExitStatus.usage
  if (error instanceof MemcacheConnectionError || error instanceof MemcacheTimeoutError) return ExitStatus.unreachable
  if (error instanceof MemcacheError) return ExitStatus.incomplete
  terminal.note((error as Error).stack ?? '')
  return ExitStatus.incomplete
}

function createProgram(terminal: Terminal, end: (status: ExitStatus) => void): Command {
  const program = new Command('memcache-ts')
    .description('Looks at memcached servers and works with them: ours and any other.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print the help')
    .option(
      '-s, --servers <list>',
      'the servers: host:port,… or a memcache:// URL (default: MEMCACHE_SERVERS, or 127.0.0.1:11211)',
    )
    .option('--prefix <prefix>', 'the prefix of the application’s keys; it is added to each key')
    .option('--hash <strategy>', 'how keys are distributed to the servers (default: ketama)')
    .option('--timeout-ms <ms>', 'how long a server may take for a response', wholeNumber(1), 2000)
    .option('--tls', 'speak TLS')
    .option('--tls-ca <file>', 'the authorities to trust, in PEM')
    .option('--tls-cert <file>', 'a client certificate, in PEM')
    .option('--tls-key <file>', 'its key, in PEM')
    .option('--username <name>', 'authenticate; the password is MEMCACHE_PASSWORD')
    .option('--password-file <file>', 'a file with the password')
    .option('--json', 'print JSON, a value on each line')
    .option('--no-color', 'print no colours; NO_COLOR does the same')
    .addHelpText(
      'after',
      `
Examples:
  memcache-ts top                             the five figures of each server, live
  memcache-ts doctor a:11211,b:11211          what to change in a running set-up
  memcache-ts get city:42 --meta              a value and its metadata
  memcache-ts keys --starts-with city: --sort size

Exit status: 0 good, 1 not found, or a server or a part is missing, 2 wrong command line, 3 no server responds.`,
    )
    .showHelpAfterError('memcache-ts --help lists the commands and options')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.write(text),
      writeErr: (text) => void terminal.errors.write(text),
      getOutHasColors: () => terminal.hasColours,
      getOutHelpWidth: () => terminal.columns,
    })

  const run =
    <Options extends object>(action: Action<Options>, names: readonly string[] = []) =>
    async (command: Command): Promise<void> => {
      const options = command.optsWithGlobals<Options & SharedOptions>()
      terminal.plain = options.color === false
      const context = new CommandContext(terminal, options, names)
      try {
        const status = await action(context, options)
        end(status === ExitStatus.ok && !context.isComplete ? ExitStatus.incomplete : status)
      } finally {
        await context.client.close()
      }
    }

  program
    .command('top [servers...]')
    .summary('the five figures of each server, live')
    .description('Shows hit ratio, memory, evictions, network traffic and connections of each server, again and again.')
    .option('-i, --interval-seconds <seconds>', 'how often', positiveNumber, 1)
    .option('-n, --count <tables>', 'how many tables to print, then end', wholeNumber(1))
    .action((names: string[], _: unknown, command: Command) => run<TopOptions>(top, names)(command))

  program
    .command('dashboard [servers...]')
    .summary('a page in the browser, and metrics for Prometheus')
    .description(
      'Serves a dashboard of all servers over HTTP, with /metrics and /healthz, until it is interrupted. It is read-only; with a token (MEMCACHE_DASHBOARD_TOKEN, or --token-file) it deletes keys and flushes too.',
    )
    .option(
      '-l, --listen <address>',
      'host:port to listen on; other addresses than loopback need a token',
      '127.0.0.1:11212',
    )
    .option('--token-file <file>', 'a file with the token')
    .action((names: string[], _: unknown, command: Command) =>
      run<DashboardCommandOptions>(dashboardCommand, names)(command),
    )

  program
    .command('stats [servers...]')
    .summary('the statistics of all servers side by side')
    .description('Prints the statistics of all servers side by side.')
    .option('-f, --form <form>', 'items, slabs, settings, conns or sizes (default: the general ones)', readingForm)
    .action((names: string[], _: unknown, command: Command) => run<StatsOptions>(stats, names)(command))

  program
    .command('doctor [servers...]')
    .summary('checks a running set-up and says what to change')
    .description(
      'Checks versions, memory, evictions, limits, lifetimes, hot keys and the placement of keys. It only reads.',
    )
    .option('--slow-ms <ms>', 'the median round trip that is too slow', positiveNumber, 5)
    .option('--sample <keys>', 'how many keys of each server to look at', wholeNumber(0), 10_000)
    .option('--watch-seconds <seconds>', 'how long to watch fetches for hot keys; 0 disables it', nonNegativeNumber, 2)
    .action((names: string[], _: unknown, command: Command) =>
      run<DoctorOptions>(
        (context, options) => doctor(context, { ...options, prefix: options.prefix ?? '' }),
        names,
      )(command),
    )

  program
    .command('get <keys...>')
    .summary('prints values')
    .description(
      'Prints values of the kit and the client, and the bytes of values of other clients. Reading does not count as use (no bump).',
    )
    .option('-m, --meta', 'also print lifetime, size, client flags and server')
    .action((names: string[], _: unknown, command: Command) =>
      run<GetOptions>((context, options) => get(context, names, options))(command),
    )

  program
    .command('set <key> <value>')
    .summary('stores text or JSON')
    .description('Stores text, or with --value-json a JSON value. The value - is read from the standard input.')
    .option('-t, --ttl <ttl>', 'its lifetime: 60, 90s, 5m, 2h, 1d (default: it does not expire)')
    .option('--value-json', 'the value is JSON')
    .action((...given: [key: string, value: string, _: unknown, command: Command]) => {
      const [key, value, , command] = given
      return run<SetOptions>((context, options) => set(context, { key, given: value }, options))(command)
    })

  program
    .command('delete <keys...>')
    .summary('deletes keys')
    .description('Deletes keys.')
    .action((names: string[], _: unknown, command: Command) =>
      run<object>((context) => deleteKeys(context, names))(command),
    )

  program
    .command('keys [servers...]')
    .summary('lists keys')
    .description('Lists the keys that the servers hold, prefix included (lru_crawler metadump).')
    .option('-p, --starts-with <text>', 'only keys that begin with it')
    .option('-n, --limit <keys>', 'how many', wholeNumber(1), 100)
    .addOption(new Option('--sort <order>', 'reads all keys').choices(['size', 'expiry', 'access']))
    .action((names: string[], _: unknown, command: Command) => run<KeysOptions>(keys, names)(command))

  program
    .command('flush [servers...]')
    .summary('invalidates everything, after a confirmation')
    .description('Invalidates everything on all servers of the list, after a confirmation.')
    .option('-y, --yes', 'do not ask for a confirmation')
    .action((names: string[], _: unknown, command: Command) => run<FlushOptions>(flush, names)(command))

  program
    .command('warm <file>')
    .summary('stores the items of a file')
    .description(
      'Stores the items of a file, one per line: {"key": "city:1", "value": {…}, "ttl": "1h"}. - means the standard input.',
    )
    .option('-t, --ttl <ttl>', 'the lifetime of items without one (default: they do not expire)')
    .option('-c, --concurrency <count>', 'how many items at once', wholeNumber(1), 100)
    .option('--only-missing', 'keep stored items')
    .action((file: string, _: unknown, command: Command) =>
      run<WarmFileOptions>((context, options) => warmFile(context, file, options))(command),
    )

  program
    .command('bench [servers...]')
    .summary('a load test with latencies')
    .description('Runs a load test with its own keys, which expire by themselves, and prints throughput and latencies.')
    .option('--seconds <seconds>', 'how long', positiveNumber, 5)
    .option('-c, --callers <count>', 'how many requests are in flight at once', wholeNumber(1), 50)
    .option('-k, --keys <count>', 'how many keys', wholeNumber(1), 10_000)
    .option('-b, --size <bytes>', 'the size of a value', wholeNumber(1), 100)
    .option('-w, --writes <percent>', 'the share of writes', percent, 10)
    .action((names: string[], _: unknown, command: Command) => run<BenchOptions>(bench, names)(command))

  program
    .command('completion <shell>')
    .summary('prints a completion script for bash, zsh or fish')
    .description(
      'Prints a completion script. For bash: memcache-ts completion bash > /etc/bash_completion.d/memcache-ts',
    )
    .action((shell: string) => terminal.write(completion(program, shell)))

  for (const command of program.commands) command.exitOverride().copyInheritedSettings(program)
  return program
}

function packageVersion(): string {
  const text = readFileSync(join(PACKAGE_FOLDER, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

function wholeNumber(min: number): (text: string) => number {
  return (text) => {
    const number = Number(text)
    if (!Number.isSafeInteger(number) || number < min)
      throw new InvalidArgumentError(`It must be a whole number of at least ${min}.`)
    return number
  }
}

function positiveNumber(text: string): number {
  const number = Number(text)
  if (!(number > 0) || number === Infinity) throw new InvalidArgumentError('It must be a number greater than 0.')
  return number
}

function nonNegativeNumber(text: string): number {
  const number = Number(text)
  if (!(number >= 0) || number === Infinity) throw new InvalidArgumentError('It must be a number of at least 0.')
  return number
}

function percent(text: string): number {
  const number = nonNegativeNumber(text)
  if (number > 100) throw new InvalidArgumentError('It must be a percentage.')
  return number
}

function readingForm(form: string): string {
  if (!isReading(form)) throw new InvalidArgumentError('This command only reads: items, slabs, settings, conns, sizes.')
  return form
}
