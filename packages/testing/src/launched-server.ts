import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from './free-port.ts'
import { responds } from './responds.ts'

/** Options of `launchMemcached` and `launchServer`. */
export interface LaunchOptions {
  /** Item memory in MiB. Default 64. */
  memoryLimitMb?: number
  /** Further arguments of the command line. */
  args?: readonly string[]
  /** Environment variables in addition to those of this process. */
  env?: Readonly<Record<string, string>>
  /**
   * Whether it responds to `version` in the text protocol; otherwise it counts as started once it accepts connections.
   * Default true.
   */
  speaksText?: boolean
  /**
   * Writes the files that it needs into a folder, and returns the arguments and the environment variables that name
   * them. Each start has its own folder, which is removed when the server is killed.
   */
  configure?: (folder: string) => Pick<LaunchOptions, 'args' | 'env'>
}

const CLI = fileURLToPath(new URL('../../server/bin/memcache-ts-server.js', import.meta.url))

/** Both servers refuse to run as root, as tests in a container do, unless `-u root` says so. */
const ROOT_ARGS = process.getuid?.() === 0 ? ['-u', 'root'] : []

/** The replies to `version` of a server that has started; one that requires authentication responds with an error. */
const RUNNING = /^(VERSION|CLIENT_ERROR unauthenticated)/

/** Starts Debian's memcached on a free port. */
export function launchMemcached(options: LaunchOptions = {}): Promise<LaunchedServer> {
  return LaunchedServer.start('memcached', [...ROOT_ARGS, '-l', '127.0.0.1'], options)
}

/** Starts our server's command line, as built, on a free port. */
export function launchServer(options: LaunchOptions = {}): Promise<LaunchedServer> {
  return LaunchedServer.start(process.execPath, [CLI, ...ROOT_ARGS], options)
}

/** The command of a server process. */
interface Launch {
  readonly command: string
  readonly args: readonly string[]
  readonly port: number
}

/** A server process, until it is disposed of. */
export class LaunchedServer implements AsyncDisposable {
  readonly host = '127.0.0.1'
  readonly port: number
  readonly #command: string
  readonly #args: readonly string[]
  readonly #options: LaunchOptions
  #process: ChildProcess | undefined
  #folder: string | undefined
  #output = ''

  private constructor({ command, args, port }: Launch, options: LaunchOptions) {
    this.#command = command
    this.#args = args
    this.#options = options
    this.port = port
  }

  static async start(command: string, args: readonly string[], options: LaunchOptions): Promise<LaunchedServer> {
    const { memoryLimitMb = 64, args: more = [] } = options
    // Another test may take the port before the server listens on it; then another port is tried.
    for (let attempt = 0; ; attempt++) {
      const all = [...args, '-m', String(memoryLimitMb), ...more]
      const server = new LaunchedServer({ command, args: all, port: await freePort() }, options)
      try {
        await server.restart()
        return server
      } catch (error) {
        server.#removeFolder()
        if (attempt === 4) throw error
      }
    }
  }

  /** `host:port`. */
  get address(): string {
    return `${this.host}:${this.port}`
  }

  /** The output on standard output and standard error since its start. */
  get output(): string {
    return this.#output
  }

  get pid(): number {
    if (this.#process?.pid === undefined) throw new Error(`${this.#command} is not running`)
    return this.#process.pid
  }

  /** Starts it on its port, without data. */
  async restart(): Promise<void> {
    const { args = [], env } = this.#configure()
    const child = spawn(this.#command, [...this.#args, ...args, '-p', String(this.port)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.#options.env, ...env },
    })
    this.#process = child
    this.#output = ''
    child.stdout.on('data', (chunk: Buffer) => (this.#output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (this.#output += chunk.toString()))
    const gone = new Promise<never>((_, reject) => {
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`${this.#command} ended with ${code}: ${this.#output}`)))
    })
    await Promise.race([this.#responds(child), gone])
    gone.catch(() => {})
  }

  /** Freezes it: the kernel still accepts connections, but it does not respond. */
  async pause(): Promise<void> {
    process.kill(this.pid, 'SIGSTOP')
    // The signal may still be under way when kill returns, so every thread is checked.
    while (!this.#isStopped()) await new Promise((resolve) => setImmediate(resolve))
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT')
  }

  /** Kills it immediately. */
  async kill(): Promise<void> {
    await this.#killProcess()
    this.#removeFolder()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  async #killProcess(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }

  #configure(): Pick<LaunchOptions, 'args' | 'env'> {
    const { configure } = this.#options
    if (configure === undefined) return {}
    this.#removeFolder()
    this.#folder = mkdtempSync(join(tmpdir(), 'memcache-ts-launched-'))
    return configure(this.#folder)
  }

  #removeFolder(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true })
    this.#folder = undefined
  }

  #isStopped(): boolean {
    return readdirSync(`/proc/${this.pid}/task`).every((thread) =>
      / T /.test(readFileSync(`/proc/${this.pid}/task/${thread}/stat`, 'latin1').replace(/^.*\)/, '')),
    )
  }

  async #responds(child: ChildProcess): Promise<void> {
    const expected = this.#options.speaksText === false ? undefined : RUNNING
    while (child.exitCode === null && !(await responds(this.port, expected))) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}
