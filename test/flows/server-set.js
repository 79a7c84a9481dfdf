// Prints the source files that a `set` crosses in the server, from the socket and back: `node test/flows/server-set.js` after `npm run build`.
import { once } from 'node:events'
import { register } from 'node:module'
import { connect } from 'node:net'
import { filesOf } from './trace.js'

register('./compiled-files.js', import.meta.url)
const { MemcachedServer } = await import('memcache-ts-server')

const server = new MemcachedServer({ port: 0 })
const { port } = await server.listen()
const socket = connect(port, '127.0.0.1')
const set = async () => {
  socket.write('set key 0 0 5\r\nvalue\r\n')
  await once(socket, 'data')
}
await set()
// What goes on beside the requests, as the clock and the maintenance of the store, is not in every one of them.
let files = await filesOf(set)
for (let time = 0; time < 10; time++) {
  const again = await filesOf(set)
  files = files.filter((file) => again.includes(file))
}
console.log(files.join('\n'))
socket.destroy()
await server.close()
