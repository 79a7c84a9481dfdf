import type { ServerResponse } from 'node:http'
import { toFields, withHeadArguments } from './fields.ts'
import type { Fields } from './fields.ts'

/** Has something done when the head of a response is about to be sent, with the fields that it has by then. */
export function beforeHead(response: ServerResponse, hook: (status: number, fields: Fields) => void): void {
  const { writeHead } = response
  response.writeHead = ((status: number, ...rest: [unknown?, unknown?]) => {
    if (!response.headersSent) {
      const given = typeof rest[0] === 'string' ? rest[1] : rest[0]
      hook(status, withHeadArguments(toFields(response.getHeaders()), given))
    }
    return (writeHead as (...args: unknown[]) => ServerResponse).call(response, status, ...rest)
  }) as ServerResponse['writeHead']
}
