import { spawnSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launchMemcached } from './launched-server.ts'
import type { LaunchedServer } from './launched-server.ts'

/** Starts Debian's memcached with SASL (`-S`) and one user; needs the packages sasl2-bin and libsasl2-modules. */
export function launchSaslMemcached(username: string, password: string): Promise<LaunchedServer> {
  const folder = mkdtempSync(join(tmpdir(), 'memcache-ts-sasl-'))
  const database = join(folder, 'users')
  const made = spawnSync('saslpasswd2', ['-p', '-f', database, '-a', 'memcached', '-c', username], { input: password })
  if (made.status !== 0) throw new Error(`saslpasswd2: ${made.error?.message ?? made.stderr.toString()}`)
  writeFileSync(
    join(folder, 'memcached.conf'),
    ['mech_list: plain', 'pwcheck_method: auxprop', 'auxprop_plugin: sasldb', `sasldb_path: ${database}`, ''].join(
      '\n',
    ),
  )
  return launchMemcached({ args: ['-S'], env: { SASL_CONF_PATH: folder }, speaksText: false })
}

/** Starts Debian's memcached with a file of users (`-Y`) for authentication in the text protocol. */
export function launchAuthMemcached(username: string, password: string): Promise<LaunchedServer> {
  const file = join(mkdtempSync(join(tmpdir(), 'memcache-ts-auth-')), 'users')
  writeFileSync(file, `${username}:${password}\n`)
  return launchMemcached({ args: ['-Y', file] })
}
