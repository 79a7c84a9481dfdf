// Prints the source files that a `get` of the client crosses, a hit on an open connection: `node test/flows/get.js`
// after `npm run build`.
import { register } from 'node:module'
import { launchServer } from 'memcache-ts-testing'
import { filesOf } from './trace.js'

register('./compiled-files.js', import.meta.url)
const { MemcachedClient } = await import('memcache-ts-client')

// In a process of its own: what the server runs is no part of the flow.
const server = await launchServer()
// A time limit that does not end here: only the first call on a connection sets its timer.
const client = new MemcachedClient({ servers: server.address, timeoutMs: 60_000 })
await client.set('key', 'value', 60)
await client.get('key')
const files = await filesOf(() => client.get('key'))
console.log(files.join('\n'))
await client.close()
await server.kill()
