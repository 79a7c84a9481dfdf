// Asks a server for one key at a time, and prints how long the answers took, in microseconds: `node probe.js <port>
// <seconds>`.
import { connect } from 'node:net'

const [port, seconds] = process.argv.slice(2).map(Number)
const socket = connect({ port, host: '127.0.0.1', noDelay: true })
const times = []
const end = Date.now() + seconds * 1000
let asked = 0n

function ask() {
  asked = process.hrtime.bigint()
  socket.write('mg probe\r\n')
}

socket.on('connect', ask)
socket.on('data', () => {
  times.push(Number(process.hrtime.bigint() - asked) / 1000)
  // Now and then, as a request comes, not one behind the other: the server's pauses are to be met by chance.
  if (Date.now() < end) setTimeout(ask, 1)
  else finish()
})

function finish() {
  times.sort((a, b) => a - b)
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))]
  console.log(JSON.stringify({ probes: times.length, p50: at(0.5), p99: at(0.99), p999: at(0.999), max: times.at(-1) }))
  socket.destroy()
}
