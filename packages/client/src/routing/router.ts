import type { WireKey } from '../client-key.ts'

/** Spreads keys over servers. */
export interface Router {
  /** The server of a key, as an index; with `attempt` above 0 another one each, for keys whose server is away. */
  serverOf(key: WireKey, attempt: number): number
}
