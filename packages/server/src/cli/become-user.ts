import { readFileSync } from 'node:fs'
import { MemcacheOptionError } from 'memcache-ts-protocol'

/**
 * Gives up root for a user of the machine, its groups first.
 * @throws MemcacheOptionError for a user that there is not.
 */
export function becomeUser(user: string): void {
  const entry = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === user)
  if (entry === undefined) throw new MemcacheOptionError(`-u: there is no user '${user}'`)
  const [uid, gid] = [Number(entry[2]), Number(entry[3])]
  process.setgroups?.([gid])
  process.setgid?.(gid)
  process.setuid?.(uid)
}
