import { spawn } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MemcacheError, MemcacheOptionError } from 'memcache-ts-protocol'
import { helpText, readCommandLine } from './cli/arguments.ts'
import type { ServeOrder } from './cli/arguments.ts'
import { inFlags } from './cli/flags.ts'
import {
  becomeUser,
  NO_SUCH_USER_STATUS,
  raiseOpenFiles,
  removePidFile,
  say,
  SYSTEM_ERROR_STATUS,
  warn,
  writeOut,
  writePidFile,
  writePortFile,
} from './cli/process.ts'
import { MemcachedServer } from './memcached-server.ts'
import { DEFAULT_MAX_CONNECTIONS } from './options.ts'
import { PACKAGE_FOLDER } from './package-folder.ts'
import { PROTOCOL_VERSION } from './version.ts'

const { version } = JSON.parse(readFileSync(join(PACKAGE_FOLDER, 'package.json'), 'utf8')) as { version: string }
/** Set in the child that `-d` starts. */
const DAEMON_VARIABLE = 'MEMCACHE_TS_SERVER_DAEMON'
const LISTENING = 'listening'

/** Runs the command `memcache-ts-server`. */
async function main(args: readonly string[]): Promise<void> {
  const commandLine = readCommandLine(args)
  switch (commandLine.action) {
    case 'help':
      say(helpText(version))
      return
    case 'version':
      say(`memcache-ts-server ${version} (memcached ${PROTOCOL_VERSION} compatible)`)
      return
    case 'license':
      say(readFileSync(join(PACKAGE_FOLDER, 'LICENSE'), 'utf8'))
      return
    case 'serve':
      if (commandLine.daemon && process.env[DAEMON_VARIABLE] === undefined) await daemonize(args)
      else await serve(commandLine)
  }
}

async function serve({ options, listens, daemon, pidfile, user, warnings }: ServeOrder): Promise<void> {
  for (const warning of warnings) warn(`warning: ${warning}`)
  const tooFewFiles = raiseOpenFiles(options.maxConnections ?? DEFAULT_MAX_CONNECTIONS)
  if (tooFewFiles !== undefined) {
    // As memcached's own debug build, a server for tests goes on.
    warn(options.debugCommands === true ? `warning: ${tooFewFiles}` : tooFewFiles)
    if (options.debugCommands !== true) process.exit(SYSTEM_ERROR_STATUS)
  }
  // As in memcached, the key is read before root is given up. The files of passwords are read again later, so the user
  // must be able to read them.
  const token = options.dashboardToken ?? process.env['MEMCACHE_DASHBOARD_TOKEN']
  const server = new MemcachedServer(
    options.dashboard === undefined || token === undefined ? options : { ...options, dashboardToken: token },
  )
  if (!becomeUser(user)) {
    warn(`-u: there is no user '${user}' to switch to`)
    process.exit(NO_SUCH_USER_STATUS)
  }
  for (const file of [options.authFile, options.saslPasswordFile]) requireReadable(file)
  server.on('log', (line) => writeOut(2, `${line}\n`))
  endBySignal(server)
  if (listens) {
    const { host, port } = await server.listen()
    if (port === 0) say(`memcache-ts-server ${version} on ${host}`)
    else say(`memcache-ts-server ${version} on ${host.includes(':') ? `[${host}]` : host}:${port}`)
    if (server.dashboardUrl !== undefined) say(`dashboard on ${server.dashboardUrl}`)
  } else {
    warn('warning: -p 0 and no unix socket: it listens nowhere')
    setInterval(() => {}, 0x7fff_ffff)
  }
  writePortFile(server.portLines)
  if (pidfile !== undefined) {
    writePidFile(pidfile)
    if (daemon) process.once('exit', () => removePidFile(pidfile))
  }
  if (process.send !== undefined) {
    process.send(LISTENING)
    process.disconnect()
  }
}

function requireReadable(file: string | undefined): void {
  if (file === undefined) return
  try {
    accessSync(file, constants.R_OK)
  } catch (error) {
    throw new MemcacheOptionError(`cannot read ${file} as the user of -u: ${(error as NodeJS.ErrnoException).code}`)
  }
}

/**
 * Ends the process on a signal: as in memcached, it ends at once; on SIGUSR1 it ends after its responses were sent and,
 * with `-e`, its items saved.
 */
function endBySignal(server: MemcachedServer): void {
  process.once('SIGINT', () => process.exit(0))
  process.once('SIGTERM', () => process.exit(0))
  const endGracefully = (): void => void server.close().then(() => process.exit(0))
  // Not `once`: a second signal without a listener would kill the process while it saves.
  process.on('SIGUSR1', endGracefully)
  server.once('shutdown', (graceful) => (graceful ? endGracefully() : setImmediate(() => process.exit(0))))
  process.on('SIGHUP', () => server.reload())
}

/** Starts the same command in the background; returns when it listens, or with its error. */
async function daemonize(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
    detached: true,
    env: { ...process.env, [DAEMON_VARIABLE]: '1' },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let errors = ''
  const { stderr } = child
  stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const failed = await new Promise<boolean>((resolve) => {
    child.once('message', () => resolve(false))
    child.once('exit', () => resolve(true))
  })
  writeOut(2, errors)
  if (failed) process.exitCode = 1
  stderr?.destroy()
  child.unref()
}

main(process.argv.slice(2)).catch((error: unknown) => {
  if (!(error instanceof MemcacheError)) throw error
  warn(inFlags(error.message))
  process.exit(error.code === 'ERR_MEMCACHE_OPTION' ? 64 : SYSTEM_ERROR_STATUS)
})
