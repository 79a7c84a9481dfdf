import { readFileSync } from 'node:fs'
import { freemem } from 'node:os'
import { LARGE_VALUE_BYTES, Loader } from '../loader.js'
import { launch } from './launch.js'

export const description =
  'process memory at its peak, filled and overwritten twice with values of 1 byte, of 1 B to 1 MB and of 1 MB: at most 1.10 × m + 128 MB (--limits=64,512,2048; 64 without it)'

const MIB = 1024 * 1024
/** A 1-byte value under a short key takes a chunk of 96 bytes. */
const SMALL_CHUNK_BYTES = 96
/** More than fits, so that items are evicted. */
const SURPLUS = 1.1
const PASSES = 3
/** Each fill: the length of the next value, and the bytes of an item on the average. */
const FILLS = {
  '1 B': { length: () => 1, itemBytes: SMALL_CHUNK_BYTES },
  '1 B to 1 MB': {
    length: () => Math.floor(LARGE_VALUE_BYTES ** Math.random()),
    itemBytes: LARGE_VALUE_BYTES / Math.log(LARGE_VALUE_BYTES),
  },
  '1 MB': { length: () => LARGE_VALUE_BYTES, itemBytes: LARGE_VALUE_BYTES },
}

/** @param {{ flags: { limits?: string } }} options */
export async function run({ flags }) {
  const given = flags.limits ?? '64'
  let reached = true
  let worst = 0
  for (const limitMb of given.split(',').map(Number)) {
    if (freemem() < limitMb * 1.5 * MIB) throw new Error(`-m ${limitMb} needs more memory than this machine has free`)
    for (const [name, fill] of Object.entries(FILLS)) {
      const { items, itemMb, peakMb } = await measure(limitMb, fill)
      const mostMb = 1.1 * limitMb + 128
      worst = Math.max(worst, peakMb / mostMb)
      if (peakMb > mostMb) reached = false
      console.log(
        `  -m ${String(limitMb).padEnd(5)} values of ${name.padEnd(12)} ${String(items).padStart(9)} items, ${itemMb.toFixed(0)} MB of them; ` +
          `process ${peakMb.toFixed(0)} MB at its peak, at most ${mostMb.toFixed(0)}`,
      )
    }
  }
  return { reached, figure: `${(worst * 100).toFixed(0)} % of what is allowed, at most` }
}

async function measure(limitMb, { length, itemBytes }) {
  const server = await launch({ memoryLimitMb: limitMb })
  const loader = await Loader.open(server.port)
  try {
    const keys = Math.ceil((limitMb * MIB * SURPLUS) / itemBytes)
    for (let pass = 0; pass < PASSES; pass++) {
      for (let key = 0; key < keys; key++) await loader.set(key, length())
    }
    const stats = await loader.stats()
    if (Number(stats.evictions) === 0) throw new Error('nothing was evicted: it was not full')
    const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]
    return { items: Number(stats.curr_items), itemMb: Number(stats.bytes) / MIB, peakMb: Number(peak) / 1024 }
  } finally {
    loader.close()
    server.stop()
  }
}
