// One application in a process of its own: `server.js <contestant> <memcached> <redis>`. Tells its port, and when asked
// the processor time that it has used so far, in microseconds.
import { createServer } from 'node:http'
import { contestants } from './contestants.js'

const [name, memcached, redis] = process.argv.slice(2)
process.env.NODE_ENV = 'production'
const server = createServer(await contestants[name].make({ memcached, redis }))
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
process.once('disconnect', () => process.exit())
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send({ cpuMicroseconds: user + system })
})
