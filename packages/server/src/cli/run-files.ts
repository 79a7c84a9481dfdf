import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { warn } from './output.ts'

/**
 * Writes the process id to the file of `-P` atomically. As in memcached, a file that cannot be written is only a
 * warning.
 */
export function writePidFile(path: string): void {
  const running = runningPid(path)
  if (running !== undefined) warn(`warning: the pid file ${path} has the pid of a running process: ${running}`)
  writeWhole(path, `${path}.tmp`, `${process.pid}\n`, 'pid file')
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
  if (path !== undefined) writeWhole(path, `${path}.lck`, lines, 'port file')
}

function writeWhole(path: string, unfinished: string, text: string, what: string): void {
  try {
    writeFileSync(unfinished, text)
    renameSync(unfinished, path)
  } catch (error) {
    warn(`warning: could not write the ${what} ${path}: ${(error as Error).message}`)
  }
}

/** The process that a pid file names, if it runs. */
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
