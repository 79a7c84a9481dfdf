import type { ServerResponse } from 'node:http'
import { setHeadArguments, toFields } from '../fields.ts'
import type { Fields, WriteHead } from '../fields.ts'

/** Has something done when the head of a response is about to be sent, with the fields that it has by then. */
export function beforeHead(response: ServerResponse, hook: (status: number, fields: Fields) => void): void {
  const writeHead = Reflect.get(response, 'writeHead') as WriteHead
  response.writeHead = (status: number, ...rest: readonly unknown[]) => {
    if (response.headersSent) return writeHead.call(response, status, ...rest)
    const others = setHeadArguments(response, rest)
    hook(status, toFields(response.getHeaders()))
    return writeHead.call(response, status, ...others)
  }
}
