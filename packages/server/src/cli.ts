import { MemcachedServer } from './memcached-server.ts'
const port = Number(process.argv[process.argv.indexOf('-p') + 1])
const m = process.argv.includes('-m') ? Number(process.argv[process.argv.indexOf('-m') + 1]) : 256
const server = new MemcachedServer({ port, memoryLimitMb: m })
await server.listen()
