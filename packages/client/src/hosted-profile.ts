import { MemcacheUnsupportedError } from 'memcache-ts-protocol'
import { LinesOperation } from './operations/lines-operation.ts'
import type { Operation } from './operations/operation.ts'

/** Commands that hosted servers do not have, whatever their version. */
const ADMINISTRATION = /^(lru_crawler|me|watch) /

/** @throws MemcacheUnsupportedError for a command that hosted servers (`profile: 'hosted'`) do not have. */
export function refuseUnhosted(operation: Operation): void {
  if (!(operation instanceof LinesOperation)) return
  const [, command] = ADMINISTRATION.exec(operation.request.text) ?? []
  if (command === undefined) return
  throw new MemcacheUnsupportedError(`the servers are hosted ones (profile: 'hosted'), which have no '${command}'`)
}
