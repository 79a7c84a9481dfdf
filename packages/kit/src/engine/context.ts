import type { Clock, Ttl } from 'memcache-ts-protocol'
import type { AdaptiveStore } from './store/adaptive-store.ts'
import type { ClassWarnings } from './values/class-warnings.ts'
import type { CacheReport } from './observe/cache-report.ts'
import type { LoadingDefaults } from './load/get-or-set-options.ts'
import type { LoadDeadlines } from './load/load-deadlines.ts'
import type { MemoryTier } from './memory/memory-tier.ts'
import type { KitCodec } from './values/kit-codec.ts'
import type { AmbiguousLeases } from './load/lost-leases.ts'
import type { PendingInvalidations, RootGeneration } from './invalidate/pending-invalidations.ts'
import type { Tags } from './invalidate/tags.ts'

/** The parts of an engine that reading, writing and loading share. */
export interface CacheContext {
  readonly store: AdaptiveStore
  readonly codec: KitCodec
  readonly tags: Tags
  readonly pending: PendingInvalidations
  readonly root: RootGeneration
  readonly ambiguous: AmbiguousLeases
  /** The time limits of loads. */
  readonly deadlines: LoadDeadlines
  readonly memory: MemoryTier | undefined
  readonly report: CacheReport
  /** Turns values into plain data, and warns about classes. */
  readonly classes: ClassWarnings
  readonly clock: Clock
  readonly leaseSeconds: number
  readonly ttlSeconds: Ttl
  /** The loading options of calls that give none. */
  readonly loading: LoadingDefaults
  /** Returns one of the kit's keys as it is stored: hashed if memcached could not hold it. */
  readonly storedKey: (text: string) => string
  /** Returns the stored key of a tag. */
  readonly tagKey: (tag: string) => string
}
