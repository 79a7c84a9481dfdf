import { connectionStatistics } from './conns.ts'
import { generalStatistics } from './general.ts'
import { itemStatistics } from './items.ts'
import { settingStatistics } from './settings.ts'
import { sizeStatistics } from './sizes.ts'
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

/** The lines of `stats` or of one of its forms, without the end; `undefined` for a form that there is not. */
export function statisticsText(form: string, source: StatisticsSource): string | undefined {
  if (!Object.hasOwn(FORMS, form)) return undefined
  return FORMS[form]!(source)
    .map(([name, value]) => `STAT ${name} ${value}\r\n`)
    .join('')
}
