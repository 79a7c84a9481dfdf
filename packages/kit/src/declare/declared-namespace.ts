import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { CacheNamespace } from '../namespace.ts'
import { DeclarationSite } from './declaration-site.ts'
import { getDefaultMemcache } from '../default-memcache.ts'
import type { Memcache } from '../memcache.ts'
import { describeValue } from '../option-types.ts'
import { claimNamespace } from './namespace-owners.ts'
import type { NamespaceClaim, NamespaceOwner } from './namespace-owners.ts'

/** The namespace of a declaration, which may be made before its cache exists. */
export interface NamespaceDeclaration {
  /** The namespace of its keys. */
  name: string
  /** Part of the namespace: raise it when the shape of the stored values changes. */
  version?: number | undefined
  /** The cache that holds the values. Default: the default cache of this process. */
  cache?: Memcache | undefined
}

/** A namespace of a declaration. Its cache is looked up when it is used. */
export class DeclaredNamespace {
  readonly owner: NamespaceOwner
  readonly #declaration: NamespaceDeclaration
  #found: { cache: Memcache; namespace: CacheNamespace; claim: NamespaceClaim; changes: number } | undefined

  /**
   * @param owner the declaration that stores values in the namespace; it distinguishes declarations with the same name.
   * @throws MemcacheOptionError if the name, the version or the cache is invalid.
   */
  constructor(owner: NamespaceOwner, declaration: NamespaceDeclaration) {
    checkDeclaration(owner.title, declaration)
    this.owner = owner
    this.#declaration = declaration
  }

  get cache(): Memcache {
    return this.#declaration.cache ?? getDefaultMemcache()
  }

  /**
   * The namespace in the current cache.
   *
   * @throws MemcacheOptionError if two classes have the same name, and no `@CacheConfig` names either of them.
   */
  get namespace(): CacheNamespace {
    const { cache } = this
    const found = this.#found
    if (found === undefined || found.cache !== cache || found.changes !== found.claim.changes) {
      const { name, version } = this.#declaration
      const claim = claimNamespace(cache, this.#declaration, this.owner)
      const namespace = cache.namespace(version === undefined ? [name] : [name, `v${version}`])
      this.#found = { cache, namespace, claim, changes: claim.changes }
      return namespace
    }
    return found.namespace
  }
}

/** Returns the owner for a call of `cached` or `defineCache`. */
export function declaredOwner(title: string, above: Function): NamespaceOwner {
  return { title, site: new DeclarationSite(above), naming: 'written' }
}

/**
 * Checks a declaration.
 *
 * @throws MemcacheOptionError if the name, the version or the cache is invalid.
 */
export function checkDeclaration(owner: string, { name, version, cache }: Partial<NamespaceDeclaration>): void {
  if (typeof name !== 'string' || name === '') {
    throw new MemcacheOptionError(
      `${owner}: name must be a string that is not empty, got ${name === '' ? "''" : typeof name}: it is the namespace of the keys`,
    )
  }
  if (!name.isWellFormed())
    throw new MemcacheOptionError(`${owner}: the name has half of a surrogate pair: ${JSON.stringify(name)}`)
  if (version !== undefined && !(Number.isSafeInteger(version) && version >= 0)) {
    throw new MemcacheOptionError(
      `${owner}: version must be a whole number of at least 0, got ${describeValue(version)}`,
    )
  }
  if (cache !== undefined && (typeof cache !== 'object' || typeof cache?.namespace !== 'function')) {
    throw new MemcacheOptionError(`${owner}: cache must be a memcache(), got ${cache === null ? 'null' : typeof cache}`)
  }
}
