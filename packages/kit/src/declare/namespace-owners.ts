import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { DeclarationSite } from './declaration-site.ts'
import type { NamespaceDeclaration } from './declared-namespace.ts'
import { engineOf } from '../engine/engine.ts'
import type { Memcache } from '../memcache.ts'

/** The owner of a namespace: a class with decorated methods, a cached function, or a declared cache. */
export interface NamespaceOwner {
  /** Its description in messages: `class Cities`. */
  readonly title: string
  readonly site: DeclarationSite | undefined
  /** `written`: the name was given as an option. `implied`: it is the name of the class. */
  readonly naming: 'written' | 'implied'
  /** Whether the site belongs to a superclass. */
  readonly isInherited?: boolean
  /** Returns the cached methods of a class; `undefined` for a function or a declared cache. */
  readonly methods?: (() => ReadonlySet<string>) | undefined
}

/** A namespace name in a cache, and its owner. */
export interface NamespaceClaim {
  /**
   * The first owner, or the same declaration after it was evaluated again. The reference is weak: a declaration that
   * was collected no longer owns the name.
   */
  owner: WeakRef<NamespaceOwner>
  /** How often the owner has changed. */
  changes: number
  /** All owners that have used the name. */
  readonly users: WeakSet<NamespaceOwner>
  /** The owners that were reported, by title and place: code may make the same declaration many times. */
  readonly told: Set<string>
}

/** A name that is claimed although it has an owner. */
interface NameInUse {
  readonly cache: Memcache
  readonly name: string
  readonly claim: NamespaceClaim
}

/** The claims of each cache, shared by all copies of this package in the process. */
const SHARED_CLAIMS = Symbol.for('memcache-ts.namespace-claims')
const shared = globalThis as { [SHARED_CLAIMS]?: WeakMap<Memcache, Map<string, NamespaceClaim>> }
const CLAIMS = (shared[SHARED_CLAIMS] ??= new WeakMap())

/**
 * Claims the name of a namespace. If a second owner claims it, a warning with both places is logged once, since each
 * would get the other's values.
 *
 * @throws MemcacheOptionError if both owners are classes that use the name only because it is their class name: it was
 *   not chosen to be shared, and each would get wrong values.
 */
export function claimNamespace(
  cache: Memcache,
  { name, version }: Pick<NamespaceDeclaration, 'name' | 'version'>,
  owner: NamespaceOwner,
): NamespaceClaim {
  const claims = CLAIMS.get(cache) ?? new Map<string, NamespaceClaim>()
  CLAIMS.set(cache, claims)
  const path = JSON.stringify([name, version])
  const claim = claims.get(path)
  if (claim === undefined) {
    const made = {
      owner: new WeakRef(owner),
      changes: 0,
      users: new WeakSet([owner]),
      told: new Set<string>(),
    }
    claims.set(path, made)
    return made
  }
  const current = claim.owner.deref()
  if (current === undefined) claim.owner = new WeakRef(owner)
  else if (current !== owner) share({ cache, name, claim }, current, owner)
  claim.users.add(owner)
  return claim
}

/** Handles a claim of a name that another owner has. */
function share({ cache, name, claim }: NameInUse, first: NamespaceOwner, owner: NamespaceOwner): void {
  const isAgain = owner.site !== undefined && first.site !== undefined && owner.site.isEvaluatedAgain(first.site)
  if (isAgain && !claim.users.has(owner)) {
    // The previous owner is reported if it turns out to be still in use.
    claim.owner = new WeakRef(owner)
    claim.changes++
    return
  }
  const message = `${sharing(name, first, owner)}: ${advice(first, owner)}`
  if (isImplied(first) && isImplied(owner) && !isAgain) throw new MemcacheOptionError(message)
  if (claim.told.has(describe(owner)) || !mayMeet(first, owner)) return
  claim.told.add(describe(owner))
  engineOf(cache).host.log.warn(`memcache-ts: ${message}`)
}

/** Returns whether the name was not chosen: it is the name of a class that is declared at its own site. */
function isImplied({ naming, isInherited }: NamespaceOwner): boolean {
  return naming === 'implied' && isInherited !== true
}

/**
 * Returns whether two owners use the same keys. Two classes may share a name on purpose, for example one that reads and
 * one that writes, but not with methods of the same name.
 */
function mayMeet(first: NamespaceOwner, second: NamespaceOwner): boolean {
  if (first.methods === undefined || second.methods === undefined) return true
  const methods = second.methods()
  return [...first.methods()].some((method) => methods.has(method))
}

function sharing(name: string, first: NamespaceOwner, second: NamespaceOwner): string {
  return `${describe(first)} and ${describe(second)} both store their values under the name '${name}', and would get each other's values`
}

function advice(first: NamespaceOwner, second: NamespaceOwner): string {
  return first.methods !== undefined && second.methods !== undefined
    ? `write @CacheConfig({ name: 'another' }) on one of the classes`
    : `give one of them another name, or share one declaration`
}

function describe({ title, site }: NamespaceOwner): string {
  const place = site?.place
  return place === undefined ? title : `${title} (${place})`
}
