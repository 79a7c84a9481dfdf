export { instrumentMemcachedClients } from './instrument.ts'
export type { InstrumentationOptions } from './instrument.ts'
