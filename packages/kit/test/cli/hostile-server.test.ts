import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from './run-command.ts'

/** Colours, clears the screen by a control character of C1, and turns the direction of text. */
const STEERS = '\u001b[31mEVIL\u009b2J\u202e'
const TOO_LARGE = '99999999999999999999999'

/** Statistics of a server that is broken or hostile. */
const STATISTICS: Readonly<Record<string, string>> = {
  '': [
    'pid 1',
    `version 1.6.45${STEERS}`,
    'uptime none',
    'time 1e400',
    `curr_items 5${STEERS}`,
    'bytes NaN',
    'get_hits -5',
    `get_misses ${TOO_LARGE}`,
    `cmd_get ${TOO_LARGE}`,
    `evictions ${TOO_LARGE}`,
    'limit_maxbytes much',
    'curr_connections 1e400',
    `${STEERS} ${STEERS}`,
    '__proto__ 1',
  ].join('\n'),
  ' settings': `maxconns many\nitem_size_max large\n${STEERS} ${STEERS}`,
  ' items': `items:1:number many\nitems:1:evicted_time never\nitems:${STEERS}:age 5\nitems:__proto__:age 5`,
  ' slabs': 'constructor:x 5\n1:chunk_size none',
}

/** A server that responds in text to all requests of the command line. */
function hostileServer(): Server {
  return createServer((socket) => {
    let received = ''
    socket.on('error', () => {})
    socket.on('data', (data) => {
      received += data.toString()
      const lines = received.split('\r\n')
      received = lines.pop()!
      for (const line of lines) socket.write(answerTo(line))
    })
  })
}

function answerTo(line: string): string {
  if (line === 'mn') return 'MN\r\n'
  if (line === 'version') return `VERSION 1.6.45${STEERS}\r\n`
  if (line.startsWith('lru_crawler metadump')) {
    const rest = 'exp=-1 la=many cas=1 fetch=no cls=1 size=none'
    return `key=${encodeURIComponent(STEERS)} ${rest}\r\nkey=<script> ${rest}\r\nEND\r\n`
  }
  if (line.startsWith('mg')) return `SERVER_ERROR ${STEERS}\r\n`
  if (!line.startsWith('stats')) return `ERROR ${STEERS}\r\n`
  const shown = STATISTICS[line.slice('stats'.length)] ?? ''
  return `${shown.replaceAll(/^(?=.)/gm, 'STAT ').replaceAll('\n', '\r\n')}${shown === '' ? '' : '\r\n'}END\r\n`
}

describe('a server that sends invalid responses', () => {
  const server = hostileServer()
  let address: string
  beforeAll(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => void server.close())

  it.each([
    ['stats'],
    ['keys'],
    ['get', 'k'],
    ['set', 'k', 'v'],
    ['delete', 'k'],
    ['flush', '--yes'],
    ['doctor'],
    ['bench', '--seconds', '1'],
    ['top', '--count', '2', '--interval', '0.1'],
  ])('neither steers the terminal nor breaks the command: %s', async (command, ...rest) => {
    for (const form of [[], ['--json']]) {
      const { output, errors, status } = await runCommand([command, ...form, ...rest, '--servers', address])
      // eslint-disable-next-line no-control-regex
      expect(`${output}${errors}`).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
      expect(errors).not.toMatch(/^\s+at .*:\d+:\d+/m)
      expect([0, 1, 2, 3]).toContain(status)
    }
  })
})
