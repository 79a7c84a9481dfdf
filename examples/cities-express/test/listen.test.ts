import type { AddressInfo, Server } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { Agent, get } from 'node:http'
import type { IncomingMessage, RequestListener } from 'node:http'
import { once } from 'node:events'
import { close, listen } from '../src/listen.ts'

const app = () => {}
const portOf = (server: Server) => (server.address() as AddressInfo).port

describe('listen', () => {
  const servers: Server[] = []
  const open = async (port: number) => {
    const server = await listen(app, port)
    servers.push(server)
    return portOf(server)
  }

  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
  })

  it('uses a free port if the wanted port is in use', async () => {
    const taken = await open(0)
    const next = await open(taken)
    expect(next).toBeGreaterThan(taken)
    expect(next).toBeLessThanOrEqual(taken + 20)
  })

  it('throws other errors than that of a port in use', async () => {
    await expect(listen(app, 65_536)).rejects.toThrow(RangeError)
  })
})

describe('close', () => {
  async function ask(port: number, agent: Agent): Promise<IncomingMessage> {
    const [response] = (await once(get({ port, host: '127.0.0.1', agent }), 'response')) as [IncomingMessage]
    response.resume()
    await once(response, 'end')
    return response
  }

  it('ends although a client keeps its connection busy: the response closes it', async () => {
    const answering: RequestListener = (_request, response) => void response.end('answered')
    const server = await listen(answering, 0)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const port = portOf(server)
    const first = await ask(port, agent)
    expect(first.headers.connection).toBe('keep-alive')
    // The next request is on its way when the server begins to close.
    const next = ask(port, agent)
    await once(server, 'request')
    const closed = close(server)
    const kinds = [(await next).headers.connection]
    while (kinds.at(-1) !== 'close') {
      const answer = await ask(port, agent).catch(() => undefined)
      if (answer === undefined) break
      kinds.push(answer.headers.connection)
    }
    await closed
    agent.destroy()
  })

  it('closes connections whose requests do not end', async () => {
    const server = await listen(() => {}, 0)
    const agent = new Agent({ keepAlive: true })
    const request = get({ port: portOf(server), host: '127.0.0.1', agent })
    const failed = once(request, 'error')
    await once(server, 'request')
    await close(server, 1)
    expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
    agent.destroy()
  })

  it('listens on loopback only, by default', async () => {
    const server = await listen(() => {}, 0)
    expect((server.address() as AddressInfo).address).toBe('127.0.0.1')
    await close(server)
  })
})
