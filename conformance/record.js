// Records what a server answers: `npm run --silent conformance:record -- <port> <requests> > <transcript>`.
// The requests are lines as in transcripts/more.requests.txt.
import { readTranscript } from 'memcache-ts-testing'
import { RawConnection } from './raw-connection.js'
import { settleDelayedFlush } from './delayed-flush.js'

const [port, file] = process.argv.slice(2)
for (const { sent } of readTranscript(file)) {
  const connection = await RawConnection.open(Number(port))
  console.log(`> ${sent.join(' || ')}`)
  for (const packet of sent) console.log(`  < ${await connection.send(packet)}`)
  await connection.end()
  await settleDelayedFlush(sent, Number(port))
}
