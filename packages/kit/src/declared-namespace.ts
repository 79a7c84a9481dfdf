import { MemcacheOptionError } from 'memcache-ts-protocol'
import type { CacheNamespace } from './cache-namespace.ts'
import { getDefaultMemcache } from './default-memcache.ts'
import type { Memcache } from './memcache.ts'

/** Where the values of something lie that is declared before there is a cache. */
export interface NamespaceDeclaration {
  /** The namespace of its keys. */
  name: string
  /** Part of the namespace: raise it when what is stored changes its shape. */
  version?: number | undefined
  /** The cache that it lies in. Default: this process's. */
  cache?: Memcache | undefined
}

/** A namespace that is found at its first use, in whatever cache is the process's then. */
export class DeclaredNamespace {
  readonly #declaration: NamespaceDeclaration
  #found: { cache: Memcache; namespace: CacheNamespace } | undefined

  /** @throws MemcacheOptionError without a name. */
  constructor(owner: string, declaration: NamespaceDeclaration) {
    if (declaration.name === '') throw new MemcacheOptionError(`${owner} needs a name: it is the namespace of its keys`)
    this.#declaration = declaration
  }

  get cache(): Memcache {
    return this.#declaration.cache ?? getDefaultMemcache()
  }

  get namespace(): CacheNamespace {
    const { cache } = this
    if (this.#found?.cache !== cache) {
      const { name, version } = this.#declaration
      this.#found = { cache, namespace: cache.namespace(version === undefined ? [name] : [name, `v${version}`]) }
    }
    return this.#found.namespace
  }
}
