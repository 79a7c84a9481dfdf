import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { launchMemcached } from './launched-server.ts'
import type { LaunchedServer } from './launched-server.ts'

/** Starts Debian's memcached with SASL (`-S`) and one user; needs the packages sasl2-bin and libsasl2-modules. */
export function launchSaslMemcached(username: string, password: string): Promise<LaunchedServer> {
  return launchMemcached({
    args: ['-S'],
    speaksText: false,
    configure: (folder) => {
      const database = join(folder, 'users')
      const command = ['-p', '-f', database, '-a', 'memcached', '-c', username]
      const made = spawnSync('saslpasswd2', command, { input: password })
      if (made.status !== 0) throw new Error(`saslpasswd2: ${made.error?.message ?? made.stderr.toString()}`)
      const mechanisms = ['mech_list: plain', 'pwcheck_method: auxprop', 'auxprop_plugin: sasldb']
      writeFileSync(join(folder, 'memcached.conf'), [...mechanisms, `sasldb_path: ${database}`, ''].join('\n'))
      return { env: { SASL_CONF_PATH: folder } }
    },
  })
}

/** Starts Debian's memcached with a file of users (`-Y`) for authentication in the text protocol. */
export function launchAuthMemcached(username: string, password: string): Promise<LaunchedServer> {
  return launchMemcached({
    configure: (folder) => {
      const file = join(folder, 'users')
      writeFileSync(file, `${username}:${password}\n`)
      return { args: ['-Y', file] }
    },
  })
}
