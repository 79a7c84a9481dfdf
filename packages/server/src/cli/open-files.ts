import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

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

/** The hard limit of open files of this process; `undefined` where the system does not show it. */
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
