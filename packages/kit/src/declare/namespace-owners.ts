import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { DeclarationSite } from './declaration-site.ts'
import { engineOf } from '../engine/engine.ts'
import type { Memcache } from '../memcache.ts'

/** Who keeps values in a namespace: a class with decorated methods, a cached function, or a declared cache. */
export interface NamespaceOwner {
  /** What it is, for a message: `class Cities`. */
  readonly title: string
  readonly site: DeclarationSite | undefined
  /** `implied`: a class's own name, which nobody wrote down as the name of a namespace. */
  readonly naming: 'written' | 'implied'
  /** Whether the site is that of a class which it extends. */
  readonly isInherited?: boolean
  /** The methods of a class that are cached; `undefined` for a function or a declared cache, which is one thing. */
  readonly methods?: (() => ReadonlySet<string>) | undefined
}

/** The name of a namespace in a cache, and who has it. */
export interface NamespaceClaim {
  /**
   * Who used it first, or the same declaration once it was evaluated again. A function that is no longer there gives its
   * name back.
   */
  owner: WeakRef<NamespaceOwner>
  /** How often that has changed. */
  changes: number
  /** All who have used it. */
  readonly users: WeakSet<NamespaceOwner>
  /** What was told about, by its title and place: an object may declare the same each time that it is made. */
  readonly told: Set<string>
}

/** A name that is asked for while somebody has it. */
interface NameInUse {
  readonly cache: Memcache
  readonly name: string
  readonly claim: NamespaceClaim
}

const CLAIMS = new WeakMap<Memcache, Map<string, NamespaceClaim>>()

/**
 * Claims the name of a namespace. A second owner of one name is told once, with both places: their values would be
 * taken for each other's.
 * @throws MemcacheOptionError if both are classes whose own names are the same. Nobody has asked for that, and it gives
 * wrong values.
 */
export function claimNamespace(
  cache: Memcache,
  name: string,
  version: number | undefined,
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

/** A name is used by another owner than the one that has it. */
function share({ cache, name, claim }: NameInUse, first: NamespaceOwner, owner: NamespaceOwner): void {
  const isAgain = owner.site !== undefined && first.site !== undefined && owner.site.isEvaluatedAgain(first.site)
  if (isAgain && !claim.users.has(owner)) {
    // The one before is told about if it turns out to be still in use.
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

/** Whether nobody has asked for the name: it is that of a class, declared where its site says. */
function isImplied({ naming, isInherited }: NamespaceOwner): boolean {
  return naming === 'implied' && isInherited !== true
}

/** Two classes may share a name on purpose, one that reads and one that writes, but not two methods of one name. */
function mayMeet(first: NamespaceOwner, second: NamespaceOwner): boolean {
  if (first.methods === undefined || second.methods === undefined) return true
  const methods = second.methods()
  return [...first.methods()].some((method) => methods.has(method))
}

function sharing(name: string, first: NamespaceOwner, second: NamespaceOwner): string {
  return `${describe(first)} and ${describe(second)} both keep their values under the name '${name}', and would be given each other's`
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
