import { describe, expect, it } from 'vitest'
import { TurnQueue } from '../src/turn-queue.ts'

const nextRound = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('TurnQueue', () => {
  it('takes a bounded number of turns before sockets are read again, in their order', async () => {
    const queue = new TurnQueue()
    const turns: number[] = []
    const GREEDY = 300
    for (let number = 0; number < GREEDY; number++) {
      const turn = (): void => {
        turns.push(number)
        if (turns.length < GREEDY * 3) queue.wait(turn)
      }
      queue.wait(turn)
    }
    let most = 0
    for (let before = 0; turns.length < GREEDY * 3; before = turns.length) {
      await nextRound()
      most = Math.max(most, turns.length - before)
    }
    expect(most).toBeLessThanOrEqual(16)
    const once = Array.from({ length: GREEDY }, (_, number) => number)
    expect(turns.slice(0, GREEDY * 3)).toEqual([...once, ...once, ...once])
  })

  it('continues after a turn that throws', async () => {
    const queue = new TurnQueue()
    const uncaught: unknown[] = []
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => uncaught.push(error))
    let taken = false
    queue.wait(() => {
      throw new Error('a fault')
    })
    queue.wait(() => (taken = true))
    for (let round = 0; round < 5; round++) await nextRound()
    process.removeAllListeners('uncaughtException')
    for (const listener of others) process.on('uncaughtException', listener)
    expect(uncaught.map(String)).toEqual(['Error: a fault'])
    expect(taken).toBe(true)
  })
})
