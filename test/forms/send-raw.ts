import { connect as connectTcp } from 'node:net'
import { connect as connectHttp2 } from 'node:http2'

/** A request as it is on the wire: its target is sent as it is written, and fields may be repeated. */
export interface RawRequest {
  readonly target: string
  readonly method?: string | undefined
  readonly fields?: readonly (readonly [string, string])[] | undefined
  readonly content?: string | undefined
}

/** A response as it came over the wire. */
export interface RawResponse {
  readonly status: number
  readonly fields: Record<string, string>
  readonly body: string
  /** The statuses of the responses before it: 100, 103. */
  readonly early: readonly number[]
}

const HEAD_END = '\r\n\r\n'

/** Sends a request over a connection of its own, and reads until the server closes it. */
export function sendHttp1(
  port: number,
  { target, method = 'GET', fields = [], content }: RawRequest,
): Promise<RawResponse> {
  const named = fields.some(([name]) => name.toLowerCase() === 'host') ? fields : [['Host', 'shop.test'], ...fields]
  const lines = [
    ...named,
    ['Connection', 'close'],
    ...(content === undefined ? [] : [['Content-Length', `${content.length}`]]),
  ]
  const text = `${method} ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${content ?? ''}`
  return new Promise((resolve, reject) => {
    const socket = connectTcp(port, '127.0.0.1')
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk)).on('error', reject)
    socket.on('close', () => resolve(parseResponse(Buffer.concat(chunks).toString('latin1'))))
    socket.write(text, 'latin1')
  })
}

function parseResponse(text: string): RawResponse {
  const early: number[] = []
  let rest = text
  for (;;) {
    const end = rest.indexOf(HEAD_END)
    if (end === -1) return { status: 0, fields: {}, body: rest, early }
    const [line = '', ...lines] = rest.slice(0, end).split('\r\n')
    rest = rest.slice(end + HEAD_END.length)
    const status = Number(line.split(' ')[1])
    if (status < 200) {
      early.push(status)
      continue
    }
    const fields: Record<string, string> = {}
    for (const field of lines) {
      const colon = field.indexOf(':')
      const name = field.slice(0, colon).toLowerCase()
      const value = field.slice(colon + 1).trim()
      fields[name] = fields[name] === undefined ? value : `${fields[name]}, ${value}`
    }
    return { status, fields, body: fields['transfer-encoding'] === 'chunked' ? withoutChunks(rest) : rest, early }
  }
}

function withoutChunks(text: string): string {
  let body = ''
  let at = 0
  for (;;) {
    const end = text.indexOf('\r\n', at)
    const size = Number.parseInt(text.slice(at, end), 16)
    if (end === -1 || !(size > 0)) return body
    body += text.slice(end + 2, end + 2 + size)
    at = end + 2 + size + 2
  }
}

/** Sends a request over HTTP/2. A field `:authority` replaces the default. */
export async function sendHttp2(
  port: number,
  { target, method = 'GET', fields = [], content }: RawRequest,
): Promise<RawResponse> {
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  try {
    const headers: Record<string, string | string[]> = { ':authority': 'shop.test', ':method': method, ':path': target }
    for (const [name, value] of fields) headers[name.toLowerCase()] = value
    if (fields.some(([name]) => name === 'host') && !fields.some(([name]) => name === ':authority'))
      delete headers[':authority']
    const early: number[] = []
    const stream = session.request(headers)
    stream.on('headers', (head) => early.push(Number(head[':status'])))
    const head = new Promise<Record<string, unknown>>((resolve, reject) => {
      stream
        .once('response', resolve)
        .once('error', reject)
        .once('close', () => resolve({}))
    })
    stream.end(content)
    let body = ''
    for await (const chunk of stream) body += (chunk as Buffer).toString('latin1')
    const { ':status': status = 0, ...others } = await head
    const told: Record<string, string> = {}
    for (const [name, value] of Object.entries(others)) told[name] = String(value)
    return { status: Number(status), fields: told, body, early }
  } finally {
    session.close()
  }
}
