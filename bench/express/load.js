// Visitors, in a process of their own: each has a connection, and asks again as soon as it has its answer.
import { connect } from 'node:net'

const CONNECTIONS = 50
const END_OF_HEAD = Buffer.from('\r\n\r\n')

process.on('message', (message) => {
  if (message !== 'go') visit(message).catch((error) => process.send({ failed: String(error) }))
})
process.send('started')

async function visit({ port, visits, path, milliseconds = Infinity, requests = Infinity }) {
  const cookies = visits ? await Promise.all(Array.from({ length: CONNECTIONS }, () => login(port))) : []
  const visitors = await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, index) => open(port, path, cookies[index])),
  )
  process.send('ready')
  // To go.
  await new Promise((resolve) => process.once('message', resolve))
  const until = performance.now() + milliseconds
  let asked = 0
  try {
    await Promise.all(
      visitors.map(async ({ ask }) => {
        for (; performance.now() < until && asked < requests; asked++) await ask()
      }),
    )
  } finally {
    for (const { close } of visitors) close()
  }
  process.send({ requests: asked })
}

async function login(port) {
  const response = await fetch(`http://127.0.0.1:${port}/login`)
  if (response.status !== 200) throw new Error(`the login was answered ${response.status}`)
  return response.headers.get('set-cookie').split(';')[0]
}

/** A connection that is kept; what it returns asks for the page and waits for all of it. */
async function open(port, path, cookie) {
  const socket = connect(port, '127.0.0.1').setNoDelay(true)
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  const request = `GET ${path} HTTP/1.1\r\nHost: bench\r\n${cookie === undefined ? '' : `Cookie: ${cookie}\r\n`}\r\n`
  let received = Buffer.alloc(0)
  let answered = () => {}
  socket.on('data', (chunk) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
    const head = received.indexOf(END_OF_HEAD)
    if (head === -1) return
    const text = received.toString('latin1', 0, head)
    const length = Number(/\r\nContent-Length: (\d+)/i.exec(text)?.[1])
    if (received.length < head + END_OF_HEAD.length + length) return
    if (!text.startsWith('HTTP/1.1 200')) answered(new Error(`answered ${text.slice(0, 60)}`))
    received = Buffer.alloc(0)
    answered()
  })
  return {
    ask: () =>
      new Promise((resolve, reject) => {
        answered = (error) => (error === undefined ? resolve() : reject(error))
        socket.write(request)
      }),
    close: () => socket.destroy(),
  }
}
