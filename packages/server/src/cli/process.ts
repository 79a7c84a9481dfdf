import { readFileSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import { spawnSync } from 'node:child_process'

/** Exit status for a user that does not exist (sysexits.h, EX_NOUSER), as memcached has it. */
export const NO_SUCH_USER_STATUS = 67

/**
 * Gives up root for a user of the machine, its groups first. A process that was not started as root does nothing. As in
 * memcached, this happens before anything is opened, so that sockets and files belong to the user. Returns false if the
 * user does not exist.
 *
 * @throws MemcacheOptionError if the process runs as root and no user is given.
 */
export function becomeUser(user: string | undefined): boolean {
  if (process.getuid?.() !== 0 && process.geteuid?.() !== 0) return true
  if (user === undefined || user === '') {
    throw new MemcacheOptionError(
      "started as root without -u: add '-u' and the user to run as, for example '-u nobody' ('-u root' stays root)",
    )
  }
  const entry = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === user)
  if (entry === undefined) return false
  const [uid, gid] = [Number(entry[2]), Number(entry[3])]
  dropGroups()
  process.setgid?.(gid)
  process.setuid?.(uid)
  return true
}

/** Gives up the supplementary groups. A container may forbid this; then there are no groups to give up either. */
function dropGroups(): void {
  try {
    process.setgroups?.([])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
    warn(`warning: cannot drop supplementary groups: ${(error as Error).message}`)
  }
}

/** An absolute path rather than a lookup on the PATH, because root runs it. */
const PRLIMIT = '/usr/bin/prlimit'
/** Exit status if the system refuses what the server needs (sysexits.h, EX_OSERR), as memcached has it. */
export const SYSTEM_ERROR_STATUS = 71
const LINE = /^Max open files +\S+ +(\d+|unlimited)/m

/**
 * Raises the limit of open files so that `maxConnections` clients fit. Node has raised the soft limit to the hard limit
 * already; the hard limit is raised with `prlimit` of util-linux, which needs root, as in memcached. Returns the error
 * that says what to do if the limit stays too low, else `undefined`. Where the limit cannot be read, nothing is done.
 */
export function raiseOpenFiles(maxConnections: number): string | undefined {
  const limit = openFilesLimit()
  if (limit === undefined || limit >= maxConnections) return undefined
  spawnSync(PRLIMIT, [`--pid=${process.pid}`, `--nofile=${maxConnections}`], { stdio: 'ignore' })
  const raised = openFilesLimit() ?? 0
  if (raised >= maxConnections) return undefined
  return (
    `-c ${maxConnections} needs as many open files, but the limit is ${raised}: raise it (LimitNOFILE= of the ` +
    "systemd unit, --ulimit nofile= of docker, 'ulimit -Hn' of the shell), start as root, or ask for fewer connections"
  )
}

/** Returns the hard limit of open files of this process; `undefined` if the system does not show it. */
function openFilesLimit(): number | undefined {
  let limits: string
  try {
    limits = readFileSync('/proc/self/limits', 'latin1')
  } catch {
    return undefined
  }
  const limit = LINE.exec(limits)?.[1]
  if (limit === undefined) return undefined
  return limit === 'unlimited' ? Infinity : Number(limit)
}

/**
 * Writes the process id to the file of `-P` atomically. As in memcached, a file that cannot be written is only a
 * warning.
 */
export function writePidFile(path: string): void {
  const running = runningPid(path)
  if (running !== undefined) warn(`warning: the pid file ${path} has the pid of a running process: ${running}`)
  writeWhole({ what: 'pid file', path, unfinished: `${path}.tmp` }, `${process.pid}\n`)
}

/** Removes the file of `-P` when a background server ends. */
export function removePidFile(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch (error) {
    warn(`warning: could not remove the pid file ${path}: ${(error as Error).message}`)
  }
}

/**
 * Writes the ports to the file that `MEMCACHED_PORT_FILENAME` names, atomically, because another process waits for the
 * file.
 */
export function writePortFile(lines: string): void {
  const path = process.env['MEMCACHED_PORT_FILENAME']
  if (path !== undefined) writeWhole({ what: 'port file', path, unfinished: `${path}.lck` }, lines)
}

/** A file that other processes read only when it is whole. */
interface WholeFile {
  /** The name of the file in warnings. */
  readonly what: string
  readonly path: string
  /** Its path while it is written. */
  readonly unfinished: string
}

function writeWhole({ what, path, unfinished }: WholeFile, text: string): void {
  try {
    writeFileSync(unfinished, text)
    renameSync(unfinished, path)
  } catch (error) {
    warn(`warning: could not write the ${what} ${path}: ${(error as Error).message}`)
  }
}

/** Returns the process that a pid file names; `undefined` if it does not run. */
function runningPid(path: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(path, 'latin1'), 10)
    if (!(pid > 0)) return undefined
    process.kill(pid, 0)
    return pid
  } catch {
    return undefined
  }
}

/** Writes a line to standard output. */
export function say(text: string): void {
  writeOut(1, `${text}\n`)
}

/** Writes a line to standard error, with our name before it. */
export function warn(text: string): void {
  writeOut(2, `memcache-ts-server: ${text}\n`)
}

/**
 * Writes synchronously. Node's own streams would make a pipe that this process shares with its parent non-blocking, for
 * the parent too. A closed pipe must not end the server.
 */
export function writeOut(descriptor: number, text: string): void {
  try {
    writeSync(descriptor, text)
  } catch {
    // There is nowhere to report it.
  }
}
