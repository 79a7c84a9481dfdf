import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { CacheNamespace } from '../namespace.ts'
import { DeclarationSite } from './declaration-site.ts'
import { getDefaultMemcache } from '../default-memcache.ts'
import type { Memcache } from '../memcache.ts'
import { claimNamespace } from './namespace-owners.ts'
import type { NamespaceClaim, NamespaceOwner } from './namespace-owners.ts'

/** Where the values of something are stored that is declared before there is a cache. */
export interface NamespaceDeclaration {
  /** The namespace of its keys. */
  name: string
  /** Part of the namespace: raise it when what is stored changes its shape. */
  version?: number | undefined
  /** The cache that holds them. Default: this process's. */
  cache?: Memcache | undefined
}

/** A namespace in the cache that is the process's when it is used. */
export class DeclaredNamespace {
  readonly owner: NamespaceOwner
  readonly #declaration: NamespaceDeclaration
  #found: { cache: Memcache; namespace: CacheNamespace; claim: NamespaceClaim; changes: number } | undefined

  /**
   * @param owner who keeps values in it, to tell apart from others of the same name.
   * @throws MemcacheOptionError if the name, the version or the cache is none.
   */
  constructor(owner: NamespaceOwner, declaration: NamespaceDeclaration) {
    checkDeclaration(owner.title, declaration)
    this.owner = owner
    this.#declaration = declaration
  }

  get cache(): Memcache {
    return this.#declaration.cache ?? getDefaultMemcache()
  }

  /** @throws MemcacheOptionError if a class that has the same name by itself uses it too. */
  get namespace(): CacheNamespace {
    const { cache } = this
    const found = this.#found
    if (found === undefined || found.cache !== cache || found.changes !== found.claim.changes) {
      const { name, version } = this.#declaration
      const claim = claimNamespace(cache, name, version, this.owner)
      const namespace = cache.namespace(version === undefined ? [name] : [name, `v${version}`])
      this.#found = { cache, namespace, claim, changes: claim.changes }
      return namespace
    }
    return found.namespace
  }
}

/** The owner that a call of `cached` or `defineCache` makes. */
export function declaredOwner(title: string, above: Function): NamespaceOwner {
  return { title, site: new DeclarationSite(above), naming: 'written' }
}

/** @throws MemcacheOptionError if the name, the version or the cache is none. */
export function checkDeclaration(owner: string, { name, version, cache }: Partial<NamespaceDeclaration>): void {
  if (typeof name !== 'string' || name === '') {
    throw new MemcacheOptionError(
      `${owner} needs a name that is a text and not empty, got ${name === '' ? "''" : typeof name}: it is the namespace of its keys`,
    )
  }
  if (!name.isWellFormed())
    throw new MemcacheOptionError(`${owner}: the name has half of a surrogate pair: ${JSON.stringify(name)}`)
  if (version !== undefined && !(Number.isSafeInteger(version) && version >= 0)) {
    throw new MemcacheOptionError(`${owner}: version must be a whole number, got ${String(version)}`)
  }
  if (cache !== undefined && (typeof cache !== 'object' || typeof cache?.namespace !== 'function')) {
    throw new MemcacheOptionError(`${owner}: cache must be a memcache(), got ${cache === null ? 'null' : typeof cache}`)
  }
}
