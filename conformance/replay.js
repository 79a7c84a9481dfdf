import { isSameResponse } from 'memcache-ts-testing'
import { settleDelayedFlush } from './delayed-flush.js'
import { RawConnection } from './raw-connection.js'

/**
 * Sends the recorded exchanges to a server, in order, each on a connection of its own; returns what it answered.
 *
 * @param {number} port
 * @param {readonly import('memcache-ts-testing').RecordedExchange[]} exchanges
 * @returns {Promise<{ answers: string[]; same: boolean }[]>}
 */
export async function replay(port, exchanges) {
  const results = []
  for (const { sent, received } of exchanges) {
    const connection = await RawConnection.open(port)
    const answers = []
    for (const [index, packet] of sent.entries()) {
      answers.push(await connection.send(packet, (answer) => isSameResponse(received[index], answer)))
    }
    const surplus = await connection.end()
    if (surplus !== '') answers.push(surplus)
    const same =
      answers.length === received.length && answers.every((answer, index) => isSameResponse(received[index], answer))
    results.push({ answers, same })
    await settleDelayedFlush(sent, port)
  }
  return results
}
