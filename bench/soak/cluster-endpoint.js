import { once } from 'node:events'
import { createServer } from 'node:net'

/** A configuration endpoint like ElastiCache's, which reports the nodes that it is given. */
export async function startClusterEndpoint(nodes) {
  let version = 1
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => socket.write(answer(String(chunk))))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')

  function answer(request) {
    if (request.startsWith('version')) return 'VERSION 1.6.22\r\n'
    if (!request.startsWith('config get cluster')) return 'ERROR\r\n'
    const list = nodes.map((port) => `node-${port}.invalid|127.0.0.1|${port}`).join(' ')
    const body = `${version}\n${list}\n`
    return `CONFIG cluster 0 ${body.length}\r\n${body}\r\nEND\r\n`
  }

  return {
    address: `127.0.0.1:${server.address().port}`,
    change(given) {
      nodes = given
      version++
    },
    stop: () => server.close(),
  }
}
