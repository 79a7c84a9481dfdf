export { instrumentMemcachedClients, isSpanWanted } from './instrument.ts'
export type { InstrumentationOptions } from './instrument.ts'
