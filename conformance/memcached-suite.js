// Runs memcached's own test suite (t/*.t) against memcache-ts-server. Needs a checkout of memcached, Perl's prove, and
// for --tls IO::Socket::SSL (Debian: perl, libio-socket-ssl-perl). Build first.
//
//   node conformance/memcached-suite.js CHECKOUT [--tls] [NAME.t …]
//
// Without names it runs every core file: all but those of the proxy, of extstore and of memcached's source code.
// binary-sasl.t skips itself, because RUN_SASL_TESTS needs Cyrus SASL: its database, made by saslpasswd2, and its list
// `CRAM-MD5 PLAIN`.

import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const NOT_CORE = /^proxy|extstore|^(?:whitespace|line-lengths)\.t$/
const COMMAND = fileURLToPath(new URL('../packages/server/bin/memcache-ts-server.js', import.meta.url))

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { tls: { type: 'boolean' } },
})
const [checkout, ...names] = positionals
if (checkout === undefined) {
  console.error('usage: node conformance/memcached-suite.js CHECKOUT [--tls] [NAME.t …]')
  process.exit(2)
}

// The suite starts ./memcached-debug through ./timedrun, both of memcached's build.
const folder = mkdtempSync(join(tmpdir(), 'memcached-suite-'))
cpSync(resolve(checkout, 't'), join(folder, 't'), { recursive: true })
writeCommand('memcached-debug', `exec "${process.execPath}" "${COMMAND}" --debug-commands "$@"`)
writeCommand('timedrun', 'seconds=$1; shift; exec "$@"')
const files = names.length > 0 ? names : readdirSync(join(folder, 't')).filter(isCore).toSorted()
const { status } = spawnSync('prove', ['-I', '.', ...files.map((name) => join('t', name))], {
  cwd: folder,
  stdio: 'inherit',
  env: { ...process.env, ...(values.tls && { SSL_TEST: '1' }) },
})
rmSync(folder, { recursive: true, force: true })
process.exitCode = status ?? 1

function isCore(name) {
  return name.endsWith('.t') && !NOT_CORE.test(name)
}

function writeCommand(name, line) {
  writeFileSync(join(folder, name), `#!/bin/sh\n${line}\n`)
  chmodSync(join(folder, name), 0o755)
}
