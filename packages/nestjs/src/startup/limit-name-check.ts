import { Logger } from '@nestjs/common'
import type { ModulesContainer } from '@nestjs/core'
import { sharedCounterNames } from '../rate-limit/limit-names.ts'

/** Says which classes of one name have `@RateLimit`s without one, and what their counters are named instead. */
export function checkLimitNames(modules: ModulesContainer): void {
  for (const [name, counters] of sharedCounterNames(modules)) {
    new Logger('RateLimit').warn(
      `${counters.length} classes named ${name === '' ? 'nothing' : name} have @RateLimit without a name: they are counted apart, as ${counters.join(' and ')}. Write @RateLimit({ name }) to choose the names, or to count them together`,
    )
  }
}
