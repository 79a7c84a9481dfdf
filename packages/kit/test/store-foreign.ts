import type { Duplex } from 'node:stream'
import { readUntil } from 'memcache-ts-testing'
import type { TestServer } from '../src/testing/test-server.ts'

/** An item of another program. */
export interface ForeignItem {
  readonly clientFlags: number
  readonly bytes: Buffer | string
  /** Default 0: it does not expire. */
  readonly exptime?: number
}

/** Stores any item on the server of a test, as another program would. */
export async function storeForeign(
  { servers: [server] }: TestServer,
  key: string,
  { clientFlags, bytes, exptime = 0 }: ForeignItem,
): Promise<void> {
  const body = Buffer.from(bytes as Buffer)
  const stream: Duplex = server!.connect()
  const reply = readUntil(stream, '\r\n')
  stream.write(
    Buffer.concat([Buffer.from(`set ${key} ${clientFlags} ${exptime} ${body.length}\r\n`), body, Buffer.from('\r\n')]),
  )
  const line = await reply
  if (line !== 'STORED\r\n') throw new Error(`the server answered ${line}`)
  stream.destroy()
}
