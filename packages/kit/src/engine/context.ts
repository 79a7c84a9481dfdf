import type { MemcachedClient } from 'memcache-ts-client'
import type { Clock, Ttl } from 'memcache-ts-protocol'
import type { AdaptiveStore } from './store/adaptive-store.ts'
import type { ClassWarnings } from './values/class-warnings.ts'
import type { CacheReport } from './observe/cache-report.ts'
import type { LoadingDefaults } from './load/get-or-set-options.ts'
import type { LoadDeadlines } from './load/load-deadlines.ts'
import type { MemoryTier } from './memory/memory-tier.ts'
import type { KitCodec } from './values/kit-codec.ts'
import type { DoubtfulLeases } from './load/doubtful-leases.ts'
import type { PendingInvalidations } from './invalidate/pending-invalidations.ts'
import type { RootGeneration } from './invalidate/root-generation.ts'
import type { Tags } from './invalidate/tags.ts'

/** What reading, writing and loading have in common: one of each a `Memcache`. */
export interface CacheParts {
  readonly store: AdaptiveStore
  /** Connections to the same servers for what must not stand before the application's requests; whoever opens them closes them. */
  readonly openAnotherClient: () => MemcachedClient
  readonly codec: KitCodec
  readonly tags: Tags
  readonly pending: PendingInvalidations
  readonly root: RootGeneration
  readonly doubtful: DoubtfulLeases
  /** The time limits of loads. */
  readonly deadlines: LoadDeadlines
  readonly memory: MemoryTier | undefined
  readonly report: CacheReport
  /** Makes plain data of what is stored, and warns of classes. */
  readonly classes: ClassWarnings
  readonly clock: Clock
  readonly leaseSeconds: number
  readonly ttlSeconds: Ttl
  /** How values are loaded where nothing else is said. */
  readonly loading: LoadingDefaults
  /** A key of the kit's own as it is stored: hashed where memcached could not hold it. */
  readonly storedKey: (text: string) => string
  /** The key of a tag, as it is stored. */
  readonly tagKey: (tag: string) => string
  /** The key of the tag that all of a namespace carries: no user's tag has it. */
  readonly namespaceKey: (name: string) => string
}
