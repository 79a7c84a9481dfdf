import { readFileSync } from 'node:fs'
import { MemcacheOptionError } from 'memcache-ts-protocol'
import { warn } from './output.ts'

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

/** A container may forbid it; then there are no groups to give up either. */
function dropGroups(): void {
  try {
    process.setgroups?.([])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
    warn(`warning: cannot drop supplementary groups: ${(error as Error).message}`)
  }
}
