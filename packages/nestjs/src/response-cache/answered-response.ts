import type { ServerResponse } from 'node:http'

type Method = (this: object, ...args: unknown[]) => unknown

/** What Nest's adapters, or an exception filter, send a response with, in Express and in Fastify. */
const SENDING = ['status', 'code', 'send', 'json', 'redirect', 'render', 'view'] as const

/** What interceptors say of a response when their observables end. */
const DESCRIBING = ['setHeader', 'appendHeader', 'removeHeader'] as const

const nothing: Method = function () {
  return this
}

/** A method of Node's response that does nothing once the head is sent, in place of throwing. */
const UNTIL_SENT = DESCRIBING.map((name) => {
  const original = Symbol(name)
  const guarded: Method = function (...args) {
    const response = this as ServerResponse & Record<symbol, Method>
    return response.headersSent ? response : response[original]!.apply(response, args)
  }
  return { name, original, guarded }
})

/**
 * Has whatever else is sent with a response that was answered go nowhere: its head may not be on the wire yet. Fields
 * that are set too late are dropped, since nobody around the cache knows that it has answered.
 *
 * @param response the platform's; on Express it is Node's.
 */
export function silence(response: object, raw: ServerResponse): void {
  const methods = response as Record<string, Method>
  for (const name of SENDING) methods[name] = nothing
  const node = raw as unknown as Record<string | symbol, Method>
  for (const { name, original, guarded } of UNTIL_SENT) {
    node[original] = node[name]!
    node[name] = guarded
  }
}
