import { MemcacheOptionError } from './errors.ts'
import { kindOf } from './kind-of.ts'

/**
 * Refuses unknown options, since a misspelt one would be ignored silently.
 *
 * @param hints option names of other libraries, and the name here.
 * @throws MemcacheOptionError that names the option and, if there is a similar one, the right name.
 */
export function checkOptions(
  owner: string,
  options: object,
  known: readonly string[],
  hints: Readonly<Record<string, string>> = {},
): void {
  // Without TypeScript, callers may forget the options, and write `app.use(rateLimit)`.
  const given: unknown = options
  if (typeof given !== 'object' || given === null) {
    throw new MemcacheOptionError(`${owner} takes its options as an object, got ${kindOf(given)}`)
  }
  if ('rawHeaders' in given || 'httpVersion' in given) {
    throw new MemcacheOptionError(
      `${owner} was given a request as its options: call it first, as in use(${owner}({ … }))`,
    )
  }
  // A decorator that is not called gets the prototype of its class.
  if ((given.constructor as { prototype?: unknown } | undefined)?.prototype === given) {
    throw new MemcacheOptionError(`${owner} was given a class as its options: call it first, as in ${owner}({ … })`)
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    if (isInstance(given)) {
      throw new MemcacheOptionError(`${owner} takes its options as an object, { … }, got ${kindOf(given)}`)
    }
    const meant = hints[name] ?? nearest(name, known)
    const advice = meant === undefined ? `it knows ${known.join(', ')}` : `\`${name}\` is \`${meant}\` here`
    throw new MemcacheOptionError(`${owner} has no option '${name}': ${advice}`)
  }
}

/** Returns whether an object is of a class, as a client or a cache in place of options that name it. */
function isInstance(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  // Options may come from another realm, such as a context of jest.
  return prototype !== null && Object.getPrototypeOf(prototype) !== null
}

/** The units at the end of names: two names are not similar because they share one. */
const UNIT = /(seconds|ms|bytes)$/

/** Returns the known name that is most similar to a name, if one is similar enough. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const lower = name.toLowerCase()
  const close = known.map((candidate) => ({ candidate, distance: distanceOf(lower, candidate.toLowerCase()) }))
  close.sort((a, b) => a.distance - b.distance)
  const best = close[0]
  if (best !== undefined && best.distance <= Math.max(1, Math.floor(lower.replace(UNIT, '').length / 3))) {
    return best.candidate
  }
  return known.find((candidate) => candidate.toLowerCase().startsWith(lower))
}

function distanceOf(a: string, b: string): number {
  const unit = UNIT.exec(a)?.[0] ?? ''
  return unit !== '' && b.endsWith(unit)
    ? editDistance(a.slice(0, -unit.length), b.slice(0, -unit.length))
    : editDistance(a, b)
}

/** Returns the Levenshtein distance: how many letters must be changed, inserted or deleted. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}

/**
 * Refuses options in a second argument, where other libraries take them, since they would be ignored silently.
 *
 * @param others the arguments after the first.
 * @throws MemcacheOptionError that says how the options are written.
 */
export function refuseSecondOptions(owner: string, others: readonly unknown[]): void {
  const [second] = others
  if (typeof second !== 'object' || second === null || Array.isArray(second)) return
  throw new MemcacheOptionError(
    `${owner} takes its options as the first argument: ${owner}({ servers: 'a:11211', ${Object.keys(second).join(', ')} })`,
  )
}
