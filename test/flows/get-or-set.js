// Prints the source files of the kit that a `getOrSet` crosses whose value is stored: `node test/flows/get-or-set.js`
// after `npm run build`.
import { register } from 'node:module'
import { launchServer, until } from 'memcache-ts-testing'
import { filesOf } from './trace.js'

register('./compiled-files.js', import.meta.url)
const { memcache } = await import('memcache-ts')

const server = await launchServer()
// No timer of a lease runs in between, however long this takes.
const cache = memcache({ servers: server.address, logger: false, timeoutMs: 60_000, leaseSeconds: 3600 })
const read = () => cache.getOrSet('key', async () => 'value', 60)
await read()
// The value is stored after the caller has it.
await until(() => cache.stats().loading === 0)
await read()
// What the client does with its `get` is a flow of its own.
const files = (await filesOf(read)).filter((file) => file.startsWith('packages/kit/'))
console.log(files.join('\n'))
await cache.close()
await server.kill()
