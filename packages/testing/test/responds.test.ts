import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { freePort, launchYrmcds } from '../src/index.ts'
import { describeWithCommand } from '../src/requirements.ts'
import { responds } from '../src/responds.ts'

async function listen(handle: (socket: Socket) => void) {
  const server = createServer((socket) => handle(socket.on('error', () => {}))).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { port, [Symbol.dispose]: () => void server.close() }
}

describe('responds', () => {
  it.each([
    ['is silent', () => {}, false],
    ['ends the connection', (socket: Socket) => socket.end(), false],
    ['resets the connection', (socket: Socket) => socket.resetAndDestroy(), false],
    ['responds with something else', (socket: Socket) => socket.write('ERROR\r\n'), false],
    ['responds', (socket: Socket) => socket.write('VERSION 1.6.45\r\n'), true],
    [
      'responds in two pieces',
      (socket: Socket) => socket.write('VER', () => setImmediate(() => socket.write('SION 1\r\n'))),
      true,
    ],
  ])('of a server that %s is settled', async (_, handle, expected) => {
    using server = await listen(handle)
    expect(await responds(server.port, /^VERSION/)).toBe(expected)
  })

  it('is false if nothing listens', async () => {
    expect(await responds(await freePort(), /^VERSION/)).toBe(false)
  })
})

describe('freePort', () => {
  it('returns no port twice', async () => {
    const ports = await Promise.all(Array.from({ length: 100 }, freePort))
    expect(new Set(ports).size).toBe(100)
  })
})

describeWithCommand({ command: ['sh', '-c', 'command -v yrmcdsd'], debianPackage: 'yrmcds' }, 'launchYrmcds', () => {
  it('starts a server that may lose the first request', async () => {
    const servers = await Promise.all(Array.from({ length: 12 }, launchYrmcds))
    const ports = servers.map(({ address }) => Number(address.split(':')[1]))
    expect(await Promise.all(ports.map((port) => responds(port, undefined)))).toEqual(ports.map(() => true))
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
  })
})
