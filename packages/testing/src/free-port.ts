import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * The first port. All ports are below the ports that systems give to outgoing connections (from 32768 on Linux, from
 * 49152 on macOS and Windows), so that no client takes a port between its check and the start of its server.
 */
const FIRST_PORT = 10_000
const PORTS = 22_000
/** The number of test processes that run at the same time. Each has its own share of the ports. */
const SHARES = 8
const SHARE = PORTS / SHARES

const share = Number(process.env['VITEST_POOL_ID'] ?? 0) % SHARES
/** Begins at random, since other runs on the same machine have the same shares. */
let tried = Math.floor(Math.random() * SHARE)

/** Returns a TCP port on loopback that is free, and that no other call returns while servers start. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < SHARE; attempt++) {
    const port = FIRST_PORT + share * SHARE + (tried++ % SHARE)
    if (await isFree(port)) return port
  }
  throw new Error(`all ports from ${FIRST_PORT + share * SHARE} to ${FIRST_PORT + (share + 1) * SHARE - 1} are in use`)
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  server.listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch {
    return false
  }
  server.close()
  await once(server, 'close')
  return true
}
