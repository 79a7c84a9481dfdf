// Records what a server answers: `npm run --silent conformance:record -- <port> <requests> > <transcript>`.
// The requests are lines as in transcripts/more.requests.txt.
import { readTranscript } from 'memcache-ts-testing'
import { RawConnection } from './raw-connection.js'
import { settleDelayedFlush } from './delayed-flush.js'

const [port, file] = process.argv.slice(2)
for (const { sent } of readTranscript(file)) {
  const connection = await RawConnection.open(Number(port))
  console.log(`> ${sent.join(' || ')}`)
  for (const packet of sent) {
    // Where a meta no-op ends the packet, its answer ends the others.
    const isWhole = packet.endsWith('\\nmn\\r\\n')
      ? (/** @type {string} */ answer) => answer.endsWith('MN\\r\\n')
      : undefined
    console.log(`  < ${await connection.send(packet, isWhole)}`)
  }
  await connection.end()
  await settleDelayedFlush(sent, Number(port))
}
