import { Readable } from 'node:stream'
import type { BodyWriter, OpenBody } from './virtual-response.ts'

const HIGH_WATER_MARK = 65_536

/** A stream of Node as the body of a response that is written without a socket. */
export const openNodeStream: OpenBody<Readable> = ({ onDrain, onCancel }) => {
  const body = new Readable({
    highWaterMark: HIGH_WATER_MARK,
    read: onDrain,
    destroy(error, done) {
      onCancel()
      done(error)
    },
  })
  const writer: BodyWriter = {
    push: (chunk) => body.push(chunk),
    end: () => void body.push(null),
    fail: (error) => void body.destroy(error),
    get pendingBytes() {
      return body.readableLength
    },
  }
  return { body, writer }
}
