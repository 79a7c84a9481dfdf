// Prints the source files that a `set` crosses in the server: `node test/flows/server-set.js` after `npm run build`.
import { once } from 'node:events'
import { register } from 'node:module'
import { duplexPair } from 'node:stream'
import { filesOf } from './trace.js'

register('./compiled-files.js', import.meta.url)
const { MemcachedServer } = await import('memcache-ts-server')

const server = new MemcachedServer({ port: 0 })
// A pair of streams hands its bytes on within one turn of the loop: no timer of the background runs in between.
const [client, connection] = duplexPair()
server.handle(connection)
const set = async () => {
  client.write('set key 0 0 5\r\nvalue\r\n')
  await once(client, 'data')
}
await set()
await set()
console.log((await filesOf(set)).join('\n'))
client.destroy()
await server.close()
