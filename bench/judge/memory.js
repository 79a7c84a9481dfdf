import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { launch } from './launch.js'

export const description =
  'process memory with -m 512 full of 1-byte values, overwritten once: at most 1.10 × 512 + 128 MB'

const LIMIT_MB = 512
/** A 1-byte value under a short key takes a chunk of 96 bytes. */
const CHUNK_BYTES = 96
const PIPELINED = 2000

export async function run() {
  const server = await launch({ memoryLimitMb: LIMIT_MB })
  const socket = connect(server.port, '127.0.0.1')
  let answered = 0
  let wake = () => {}
  socket.on('data', (chunk) => {
    for (const byte of chunk) if (byte === 10) answered++
    wake()
  })
  const ask = async (text, lines) => {
    const wanted = answered + lines
    socket.write(text)
    while (answered < wanted) await new Promise((resolve) => (wake = resolve))
  }
  try {
    const keys = Math.floor((LIMIT_MB * 1024 * 1024 * 1.1) / CHUNK_BYTES)
    for (let pass = 0; pass < 2; pass++) {
      for (let key = 0; key < keys; key += PIPELINED) {
        const count = Math.min(PIPELINED, keys - key)
        await ask(Array.from({ length: count }, (_, index) => `set k${key + index} 0 0 1\r\nx\r\n`).join(''), count)
      }
    }
    const residentMb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]) / 1024
    const mostMb = 1.1 * LIMIT_MB + 128
    return {
      reached: residentMb <= mostMb,
      figure: `${residentMb.toFixed(0)} MB resident after ${2 * keys} sets, at most ${mostMb.toFixed(0)}`,
    }
  } finally {
    socket.destroy()
    server.stop()
  }
}
