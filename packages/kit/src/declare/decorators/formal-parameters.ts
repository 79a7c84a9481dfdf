import { syncResult } from '../../option-types.ts'
import { oneTagOrMany } from '../late-facts.ts'
import type { TagsOf } from '../late-facts.ts'

/** The methods that reflect-metadata adds to `Reflect`. */
interface ReflectMetadata {
  getMetadata?(key: string, target: object, property: string | symbol): unknown
}

const OPENING = '([{'
const CLOSING = ')]}'

/**
 * Returns how many parameters a method declares, including optional ones and those with defaults, which its `length`
 * does not count; `undefined` if that cannot be known, as with a rest parameter or a bound function.
 */
export function countParameters(method: Function, target?: object, name?: string | symbol): number | undefined {
  const source = Function.prototype.toString.call(method)
  const declared = source.includes('[native code]') ? undefined : countInSource(source)
  if (declared === 'rest' || target === undefined || name === undefined)
    return declared === 'rest' ? undefined : declared
  // The compiler's metadata is correct even if a decorator below has replaced the method.
  const types = (Reflect as ReflectMetadata).getMetadata?.('design:paramtypes', target, name)
  return Array.isArray(types) ? types.length : declared
}

function countInSource(source: string): number | 'rest' | undefined {
  let depth = 0
  let count = 0
  let isInside = false
  let hasText = false
  for (let at = 0; at < source.length; at++) {
    const char = source[at]!
    const skipped = skipText(source, at)
    if (skipped !== at) {
      if (isInside && source[at] !== '/') hasText = true
      at = skipped - 1
      continue
    }
    if (!isInside) {
      if (char === '(' && depth === 0) isInside = true
      else if (OPENING.includes(char)) depth++
      else if (CLOSING.includes(char)) depth--
      else if (char === '=' && source[at + 1] === '>' && depth === 0) return 1
      continue
    }
    if (depth === 0 && char === ')') return hasText ? count + 1 : count
    if (depth === 0 && char === ',') {
      count++
      hasText = false
      continue
    }
    if (depth === 0 && source.startsWith('...', at)) return 'rest'
    if (OPENING.includes(char)) depth++
    else if (CLOSING.includes(char)) depth--
    if (char.trim() !== '') hasText = true
  }
  return undefined
}

/** Returns the end of a comment, string or template that begins here; the same position if none begins. */
function skipText(source: string, at: number): number {
  const char = source[at]!
  if (char === '/' && source[at + 1] === '/') return endOf(source, '\n', at + 2)
  if (char === '/' && source[at + 1] === '*') return endOf(source, '*/', at + 2)
  if (char !== "'" && char !== '"' && char !== '`') return at
  for (let next = at + 1; next < source.length; next++) {
    if (source[next] === '\\') next++
    else if (source[next] === char) return next + 1
  }
  return source.length
}

function endOf(source: string, mark: string, from: number): number {
  const found = source.indexOf(mark, from)
  return found === -1 ? source.length : found + mark.length
}

/**
 * Wraps a function of a method's arguments. If it declares one parameter more than the method, that last parameter gets
 * the object.
 *
 * @param parameters the number of the method's parameters, by `countParameters`.
 */
function withObject<Result>(
  // oxlint-disable-next-line typescript/no-explicit-any -- as many as it names
  fn: (...args: any[]) => Result,
  parameters: number | undefined,
): (args: readonly unknown[], self: object) => Result {
  if (parameters !== undefined && fn.length <= parameters) return (args) => fn(...args)
  const at = parameters ?? Math.max(0, fn.length - 1)
  return (args, self) => {
    if (parameters === undefined && fn.length <= args.length) return fn(...args)
    return fn(...Array.from({ length: at }, (_, index) => args[index]), self)
  }
}

/**
 * Wraps a function of a method's arguments that may take the object after them; `undefined` for no function. The
 * returned function throws a MemcacheOptionError for a promise.
 *
 * @param name the function in messages: `@Cached: key`.
 */
export function syncWithObject<Fn extends AnyFunction>(
  name: string,
  fn: Fn,
  parameters: number | undefined,
): WithObject<ReturnType<Fn>>
export function syncWithObject<Fn extends AnyFunction>(
  name: string,
  fn: Fn | undefined,
  parameters: number | undefined,
): WithObject<ReturnType<Fn>> | undefined
export function syncWithObject<Fn extends AnyFunction>(
  name: string,
  fn: Fn | undefined,
  parameters: number | undefined,
): WithObject<ReturnType<Fn>> | undefined {
  if (fn === undefined) return undefined
  const call = withObject(fn as unknown as (...args: unknown[]) => ReturnType<Fn>, parameters)
  return (args, self) => syncResult(name, call(args, self))
}

type AnyFunction = (...args: never[]) => unknown

/** A function of a method's arguments, called with the object. */
type WithObject<Result> = (args: readonly unknown[], self: object) => Result

/**
 * Returns a function for the tags of a call, given by a list or by a function that may take the object after the
 * arguments; the tags are normalized by `oneTagOrMany`.
 */
export function tagsWithObject<Args extends readonly unknown[]>(
  tags: TagsOf<Args> | undefined,
  parameters: number | undefined,
): (args: readonly unknown[], self: object) => readonly string[] | undefined {
  if (typeof tags !== 'function') return () => tags
  const tagsFor = withObject(tags, parameters)
  return (args, self) => oneTagOrMany(tagsFor(args, self))
}
