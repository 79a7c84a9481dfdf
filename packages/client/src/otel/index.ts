export { instrumentMemcachedClients } from './instrument.ts'
export type { InstrumentationOptions } from './instrument.ts'
export { isSpanWanted } from './is-span-wanted.ts'
