import { STATUS_CODES } from 'node:http'
import { Readable } from 'node:stream'
import type { BodyWriter, OpenBody, VirtualResult } from './virtual-response.ts'

/** The number of unread bytes at which the writer has to wait. */
const HIGH_WATER_MARK = 65_536

/** Opens a stream of the Fetch standard; its parts belong to its reader. */
export const openWebStream: OpenBody<ReadableStream<Uint8Array>> = ({ onDrain, onCancel }) => {
  let controller!: ReadableStreamDefaultController<Uint8Array>
  const body = new ReadableStream<Uint8Array>(
    {
      start: (given) => void (controller = given),
      pull: onDrain,
      cancel: onCancel,
    },
    { highWaterMark: HIGH_WATER_MARK, size: (chunk) => chunk.byteLength },
  )
  const writer: BodyWriter = {
    push(chunk) {
      // A copy: the same bytes may be sent to others, and a reader may overwrite its part.
      if (chunk.length > 0) controller.enqueue(new Uint8Array(chunk))
      return (controller.desiredSize ?? 0) > 0
    },
    end: () => controller.close(),
    fail: (error) => controller.error(error),
    get pendingBytes() {
      return HIGH_WATER_MARK - (controller.desiredSize ?? HIGH_WATER_MARK)
    },
  }
  return { body, writer }
}

/** Converts a response that was written without a socket to a `Response`. */
export function toWebResponse({
  status,
  statusMessage,
  headers,
  body,
}: VirtualResult<ReadableStream<Uint8Array>>): Response {
  const fields: [string, string][] = []
  for (const [name, value] of Object.entries(headers)) {
    if (Array.isArray(value)) for (const line of value) fields.push([name, line])
    else if (value !== undefined) fields.push([name, String(value)])
  }
  return new Response(body as ConstructorParameters<typeof Response>[0], {
    status,
    // The usual phrase is left out, as in most handlers' responses: a hit cannot know whether the handler gave it.
    statusText: statusMessage === STATUS_CODES[status] ? '' : statusMessage,
    headers: fields,
  })
}

/** Opens a stream of Node as the body of a response that is written without a socket. */
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
