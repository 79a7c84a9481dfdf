import { connectionStatistics } from './conns.ts'
import { generalStatistics } from './general.ts'
import { itemStatistics } from './items.ts'
import { settingStatistics } from './settings.ts'
import { slabStatistics } from './slabs.ts'
import type { Statistic, StatisticsSource } from './statistics-source.ts'

const FORMS: Readonly<Record<string, (source: StatisticsSource) => Statistic[]>> = {
  '': generalStatistics,
  settings: settingStatistics,
  items: itemStatistics,
  slabs: slabStatistics,
  sizes: sizeStatistics,
  conns: connectionStatistics,
}

/** The general statistics (form '') or one of the other forms; `undefined` if the form is unknown. */
export function statisticsOf(form: string, source: StatisticsSource): Statistic[] | undefined {
  return Object.hasOwn(FORMS, form) ? FORMS[form]!(source) : undefined
}

/** `stats sizes`: how many items there are of each size (protocol.txt, "Item size statistics"). */
function sizeStatistics({ context }: StatisticsSource): Statistic[] {
  const { sizes } = context.store
  return sizes === undefined
    ? [['sizes_status', 'disabled']]
    : sizes.entries().map(([bytes, count]) => [String(bytes), count])
}
