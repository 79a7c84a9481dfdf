import { createRequire } from 'node:module'
import { MemcacheError } from 'memcache-ts-protocol'
import { helpText, readCommandLine } from './cli/arguments.ts'
import { MemcachedServer } from './memcached-server.ts'
import { PROTOCOL_VERSION } from './version.ts'

const { version } = createRequire(import.meta.url)('../package.json') as { version: string }

/** The command `memcache-ts-server`. */
async function main(): Promise<void> {
  const commandLine = readCommandLine(process.argv.slice(2))
  if (commandLine.action !== 'serve') {
    const versionLine = `memcache-ts-server ${version} (memcached ${PROTOCOL_VERSION} compatible)`
    console.log(commandLine.action === 'help' ? helpText(version) : versionLine)
    return
  }
  const server = new MemcachedServer(commandLine.options)
  // A cache has nothing to save: as memcached, it ends at once.
  process.once('SIGINT', () => process.exit(0))
  process.once('SIGTERM', () => process.exit(0))
  const { host, port } = await server.listen()
  console.log(`memcache-ts-server ${version} on ${host.includes(':') ? `[${host}]` : host}:${port}`)
}

try {
  await main()
} catch (error) {
  if (!(error instanceof MemcacheError)) throw error
  console.error(`memcache-ts-server: ${error.message}`)
  process.exitCode = error.code === 'ERR_MEMCACHE_OPTION' ? 64 : 71
}
