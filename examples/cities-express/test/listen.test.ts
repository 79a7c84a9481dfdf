import type { AddressInfo, Server } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { listen } from '../src/listen.ts'

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

  it('goes on to a free port when the one it wants is taken', async () => {
    const taken = await open(0)
    const next = await open(taken)
    expect(next).toBeGreaterThan(taken)
    expect(next).toBeLessThanOrEqual(taken + 20)
  })

  it('throws what is no matter of a taken port', async () => {
    await expect(listen(app, 65_536)).rejects.toThrow(RangeError)
  })
})
