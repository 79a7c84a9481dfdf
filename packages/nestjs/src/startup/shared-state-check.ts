import { isDeepStrictEqual } from 'node:util'
import { Logger } from '@nestjs/common'
import type { ModulesContainer } from '@nestjs/core'
import { decoratedMethodsOf } from '../injection/decorated-methods.ts'
import { nameOfToken, providersOf } from './providers.ts'
import type { Provided } from './providers.ts'

/**
 * Warns about classes with several objects that may differ while the keys of their methods do not: each would get the
 * values of the others.
 */
export function checkSharedState(modules: ModulesContainer): void {
  const byClass = new Map<Function, Provided[]>()
  for (const provided of providersOf(modules)) {
    const { constructor } = provided
    if (constructor === undefined || methodOf(constructor) === undefined) continue
    byClass.set(constructor, [...(byClass.get(constructor) ?? []), provided])
  }
  for (const [constructor, provided] of byClass) {
    const why = whyTheyDiffer(provided)
    if (why !== undefined) warn(constructor, why)
  }
}

/** Returns the name of a method whose key consists of its arguments only. */
function methodOf(constructor: Function): string | undefined {
  const method = decoratedMethodsOf(constructor.prototype as object).find(({ kind }) => kind === 'caches')
  return method === undefined ? undefined : String(method.name)
}

function whyTheyDiffer(provided: readonly Provided[]): string | undefined {
  if (provided.some(({ isPerRequest }) => isPerRequest))
    return 'is request-scoped, and its objects may differ by request'
  const tokens = [...new Set(provided.map(({ token }) => token))]
  if (tokens.length > 1) return `is provided as ${tokens.map(nameOfToken).join(' and ')}, by objects that may differ`
  const [first, ...others] = [...new Set(provided.map(({ instance }) => instance))]
  const differs = others.some((other) => !isDeepStrictEqual(settingsOf(first), settingsOf(other)))
  return differs ? 'is provided in several modules, by objects with different settings' : undefined
}

/** Returns an object's visible settings; the objects that it uses are considered equal. */
function settingsOf(instance: unknown): Record<string, unknown> {
  const properties = typeof instance === 'object' && instance !== null ? Object.getOwnPropertyDescriptors(instance) : {}
  const entries = Object.entries<PropertyDescriptor>(properties)
  return Object.fromEntries(entries.map(([name, { value }]) => [name, isData(value) ? (value as unknown) : undefined]))
}

function isData(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'function'
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || Array.isArray(value)
}

function warn(constructor: Function, why: string): void {
  const method = methodOf(constructor)!
  new Logger('Memcache').warn(
    `${constructor.name} ${why}, while the key of ${constructor.name}.${method} consists of its arguments only: add the difference to the key, whose function gets the object after the arguments: @Cached({ key: (id, self) => ['${method}', self.tenant, id] })`,
  )
}
