// One client, one workload at a time as the parent says, in a process of its own: `worker.js <client> <address>`.
import { clients } from './clients.js'
import { floorOf } from './floor.js'
import { workloads } from './workloads.js'

const [name, address] = process.argv.slice(2)
const client = await clients[name](address)

process.on('message', ({ workload, milliseconds, bare }) => {
  const measured = bare ? measureFloor(workload, milliseconds) : measure(workload, milliseconds)
  measured.catch((error) => process.send({ failed: 'crashed', by: String(error).slice(0, 100) }))
})
// A client with an uncaught exception has failed at its call.
process.on('uncaughtException', (error) => process.send({ failed: 'crashed', by: String(error).slice(0, 100) }))
process.on('unhandledRejection', (error) => process.send({ failed: 'crashed', by: String(error).slice(0, 100) }))
process.once('disconnect', () => process.exit())
process.send('ready')

/** Measures the workload with a bare socket. */
async function measureFloor(workload, milliseconds) {
  await workloads[workload].prepare(client)
  process.send({ perSecond: await floorOf(address, ...workloads[workload].floor, milliseconds) })
}

async function measure(workload, milliseconds) {
  const { prepare, run } = workloads[workload]
  await prepare(client)
  await run(client, performance.now() + milliseconds / 3)
  const cpu = process.cpuUsage()
  const start = performance.now()
  const operations = await run(client, start + milliseconds)
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  process.send({ perSecond: operations / seconds, cpuMicroseconds: (user + system) / operations })
}
