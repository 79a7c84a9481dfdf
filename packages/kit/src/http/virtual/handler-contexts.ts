/** Properties of a handler's arguments in which frameworks have further objects of the request. */
const NESTED = [
  'incoming',
  'req',
  'request',
  'node',
  'runtime',
  'raw',
  'context',
  'locals',
  'state',
  'var',
  'data',
] as const

/** How deep they are: `request.runtime.node.req`. */
const MAX_DEPTH = 3

/**
 * Returns the objects from which a Fetch handler may know its user, besides the fields of the request: the request, if
 * other code has set properties of it, the handler's further arguments (a load context, `env` of Hono), and the Node
 * request in them.
 */
export function handlerContexts(request: Request, rest: readonly unknown[]): readonly object[] {
  const found = new Set<object>()
  const collect = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || found.has(value)) return
    found.add(value)
    if (depth === MAX_DEPTH) return
    for (const name of NESTED) collect(propertyOf(value, name), depth + 1)
  }
  for (const argument of [request, ...rest]) {
    collect(argument, 0)
    if (argument instanceof Map) found.add(Object.fromEntries(namedEntries(argument)))
  }
  return [...found]
}

function namedEntries(map: ReadonlyMap<unknown, unknown>): (readonly [string, unknown])[] {
  return [...map].filter((entry): entry is [string, unknown] => typeof entry[0] === 'string')
}

/**
 * Returns the arguments of a handler that are no objects, as text for the key; `undefined` if there are none. The
 * response may depend on them.
 */
export function plainArguments(rest: readonly unknown[]): string | undefined {
  const texts = rest.map((argument) => (isPlain(argument) ? `${typeof argument} ${String(argument)}` : ''))
  return texts.some((text) => text !== '') ? JSON.stringify(texts) : undefined
}

function isPlain(argument: unknown): boolean {
  return argument !== undefined && argument !== null && typeof argument !== 'object' && typeof argument !== 'function'
}

function propertyOf(holder: object, name: string): unknown {
  try {
    return (holder as Record<string, unknown>)[name]
  } catch {
    return undefined
  }
}
