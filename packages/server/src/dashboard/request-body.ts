import type { IncomingMessage } from 'node:http'

const MAX_BYTES = 16 * 1024

/** The fields of a body, all of them strings. `form` is present if a form without a script has sent the body. */
export type BodyFields = Readonly<Record<string, string | undefined>>

/**
 * Reads a JSON object or a form. A body that an earlier middleware has parsed (`req.body`) is used unchanged.
 *
 * @throws HttpProblem if the body is too long, or is neither.
 */
export async function readBody(request: IncomingMessage): Promise<BodyFields> {
  const type = request.headers['content-type'] ?? ''
  const isForm = type.startsWith('application/x-www-form-urlencoded')
  if (!isForm && !type.startsWith('application/json')) {
    throw new HttpProblem(415, 'send JSON, with Content-Type: application/json')
  }
  const { body } = request as { body?: unknown }
  const parsed =
    request.readableEnded && body !== undefined ? body : (isForm ? parseForm : parseJson)(await readText(request))
  if (typeof parsed !== 'object' || parsed === null) throw new HttpProblem(400, 'the body must be a JSON object')
  const fields = Object.entries(parsed).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  return { ...Object.fromEntries(fields), ...(isForm ? { form: 'form' } : {}) }
}

function parseForm(text: string): unknown {
  return Object.fromEntries(new URLSearchParams(text))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new HttpProblem(400, 'the body is not JSON')
  }
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BYTES) throw new HttpProblem(413, `the body is longer than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** An error that is the response to a request. */
export class HttpProblem extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}
