import { once } from 'node:events'
import { connect } from 'node:net'

const CONNECTIONS = 2
const KEYS = 10_000
const VALUE = 'x'.repeat(100)

/** Requests of so many operations that leave in one write, and how their answer ends. */
const EXCHANGES = {
  get: (count) => ({ request: `get ${keys(count).join(' ')}\r\n`, isEnd: (answer) => answer.endsWith('END\r\n') }),
  set: (count) => ({
    request: keys(count)
      .map((key) => `ms ${key} ${VALUE.length} F1 T600\r\n${VALUE}\r\n`)
      .join(''),
    isEnd: (answer) => answer.length >= count * 'HD\r\n'.length,
  }),
}

/**
 * Measures a bare socket that sends the same bytes again and again and ignores the responses, with the same number of
 * operations in flight and of connections as the client. No client with as many connections can be faster.
 */
export async function floorOf(address, kind, inFlight, milliseconds) {
  const [host, port] = address.split(':')
  const count = inFlight / CONNECTIONS
  const { request, isEnd } = EXCHANGES[kind](count)
  const bytes = Buffer.from(request)
  const until = performance.now() + milliseconds
  const start = performance.now()
  let operations = 0
  const connection = async () => {
    const socket = connect({ host, port: Number(port), noDelay: true })
    await once(socket, 'connect')
    let answer = ''
    await new Promise((resolve) => {
      socket.on('data', (chunk) => {
        // Only the end of a response is parsed.
        answer = (answer + chunk.latin1Slice()).slice(-count * 8)
        if (!isEnd(answer)) return
        answer = ''
        operations += count
        if (performance.now() >= until) resolve()
        else socket.write(bytes)
      })
      socket.write(bytes)
    })
    socket.destroy()
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, connection))
  return operations / ((performance.now() - start) / 1000)
}

function keys(count) {
  return Array.from({ length: count }, (_, index) => `city:${(index * 97) % KEYS}`)
}
