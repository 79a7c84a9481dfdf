import type { StatisticsSource } from './statistics-source.ts'

/** `stats items`: the items of each class (protocol.txt, "Item statistics"). */
export function itemStatistics({ context }: StatisticsSource): [string, string | number][] {
  const { lru, now, slabs } = context.store
  const lines: [string, string | number][] = []
  for (let id = 1; id < slabs.classes.length; id++) {
    const number = lru.size(id)
    if (number === 0) continue
    lines.push([`items:${id}:number`, number], [`items:${id}:age`, now - context.store.lastAccess(lru.tail(id))])
  }
  return lines
}
