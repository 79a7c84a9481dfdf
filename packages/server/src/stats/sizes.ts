import type { Statistic, StatisticsSource } from './statistics-source.ts'

/** `stats sizes`: how many items there are of each size (protocol.txt, "Item size statistics"). */
export function sizeStatistics({ context }: StatisticsSource): Statistic[] {
  const { sizes } = context.store
  return sizes === undefined
    ? [['sizes_status', 'disabled']]
    : sizes.entries().map(([bytes, count]) => [String(bytes), count])
}
