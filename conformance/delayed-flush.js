import { RawConnection } from './raw-connection.js'

/**
 * A `flush_all` with a delay takes its effect before the next exchange, as it did while the transcripts were recorded.
 *
 * @param {readonly string[]} sent
 * @param {number} port
 */
export async function settleDelayedFlush(sent, port) {
  if (!sent.some((packet) => /flush_all [1-9]/.test(packet))) return
  const connection = await RawConnection.open(port)
  const stored = 'STORED\\r\\n'
  await connection.send('set conformance 0 0 1\\r\\nx\\r\\n', (answer) => answer === stored)
  const gone = 'END\\r\\n'
  const isGone = async () => (await connection.send('get conformance\\r\\n', (text) => text.endsWith(gone))) === gone
  const again = () => new Promise((resolve) => setTimeout(resolve, 50))
  while (!(await isGone())) await again()
  // What is stored in the very second of the flush is gone with it, in older versions.
  for (;;) {
    await connection.send('set conformance 0 0 1\\r\\nx\\r\\n', (answer) => answer === stored)
    if (!(await isGone())) break
    await again()
  }
  await connection.send('delete conformance\\r\\n', (answer) => answer === 'DELETED\\r\\n')
  await connection.end()
}
