import type { WireKey } from '../client-key.ts'
import type { ServerAddress } from '../server-address.ts'
import { md5 } from './md5.ts'
import type { Router } from './router.ts'

/**
 * Rendezvous hashing (Thaler and Ravishankar, 1998), weighted by -w / ln h: the server with the best score for the key
 * is chosen. If a server is removed, only its keys move.
 */
export class Rendezvous implements Router {
  readonly #seeds: readonly number[]
  readonly #weights: readonly number[]

  constructor(servers: readonly ServerAddress[]) {
    this.#seeds = servers.map(({ name }) => md5(name)[0]!)
    this.#weights = servers.map(({ weight }) => weight)
  }

  serverOf(key: WireKey, attempt: number): number {
    const hash = md5(key)[0]!
    const scores = this.#seeds.map((seed, index) => {
      const share = (mix(seed ^ hash) + 0.5) / 2 ** 32
      return -this.#weights[index]! / Math.log(share)
    })
    if (attempt === 0) return scores.indexOf(Math.max(...scores))
    const order = scores.map((score, index) => ({ score, index })).sort((a, b) => b.score - a.score)
    return order[attempt]!.index
  }
}

/** Spreads 32 bits over 32 bits (MurmurHash3's finalizer). */
function mix(bits: number): number {
  let mixed = bits
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
