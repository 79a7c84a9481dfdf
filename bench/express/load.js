// Visitors, in a separate process: each has a connection, and sends the next request as soon as it has its response.
import { connect } from 'node:net'

const CONNECTIONS = 50
const END_OF_HEAD = Buffer.from('\r\n\r\n')

process.on('message', (message) => {
  if (message !== 'go') visit(message).catch((error) => process.send({ failed: String(error) }))
})
process.once('disconnect', () => process.exit())
process.send('started')

async function visit({ port, visits, path, headers = {}, status = 200, milliseconds = Infinity, requests = Infinity }) {
  const cookies = visits ? await Promise.all(Array.from({ length: CONNECTIONS }, () => login(port))) : []
  const visitors = await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, index) => open(port, { path, headers, status, cookie: cookies[index] })),
  )
  process.send('ready')
  // To go.
  await new Promise((resolve) => process.once('message', resolve))
  const until = performance.now() + milliseconds
  let answers = 0
  try {
    await Promise.all(
      visitors.map(async ({ ask }) => {
        for (; performance.now() < until && answers < requests; answers++) await ask()
      }),
    )
  } finally {
    for (const { close } of visitors) close()
  }
  process.send({ requests: answers })
}

async function login(port) {
  const response = await fetch(`http://127.0.0.1:${port}/login`)
  if (response.status !== 200) throw new Error(`the login was answered ${response.status}`)
  return response.headers.get('set-cookie').split(';')[0]
}

/** Makes each path another one, where it says so. */
let asked = 0

/** Opens a connection; returns a function that requests the page and waits for all of it. */
async function open(port, { path, headers, status, cookie }) {
  const socket = connect(port, '127.0.0.1').setNoDelay(true)
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  const fields = Object.entries(cookie === undefined ? headers : { ...headers, Cookie: cookie })
  const rest = ` HTTP/1.1\r\nHost: bench\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  let received = Buffer.alloc(0)
  let answered = () => {}
  const end = (error) => answered(error instanceof Error ? error : new Error('the connection was closed'))
  socket.on('error', end).on('close', end)
  socket.on('data', (chunk) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
    const head = received.indexOf(END_OF_HEAD)
    if (head === -1) return
    const text = received.toString('latin1', 0, head)
    const length = status === 304 ? 0 : Number(/\r\nContent-Length: (\d+)/i.exec(text)?.[1])
    if (received.length < head + END_OF_HEAD.length + length) return
    if (!text.startsWith(`HTTP/1.1 ${status}`)) answered(new Error(`answered ${text.slice(0, 60)}`))
    received = Buffer.alloc(0)
    answered()
  })
  return {
    ask: () =>
      new Promise((resolve, reject) => {
        answered = (error) => (error === undefined ? resolve() : reject(error))
        socket.write(`GET ${path.replace('{n}', String(asked++))}${rest}`)
      }),
    close: () => socket.destroy(),
  }
}
