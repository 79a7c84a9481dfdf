import type { CommandContext } from '../commands/command-context.ts'
import type { ResolvedServerOptions } from '../options.ts'

/** Where statistics are read from. */
export interface StatisticsSource {
  readonly context: CommandContext
  readonly options: ResolvedServerOptions
}
