import { Logger } from '@nestjs/common'
import type { ModulesContainer } from '@nestjs/core'
import { sharedCounterNames } from '../rate-limit/limit-names.ts'

/** Warns about classes with the same name that have `@RateLimit`s without a name, and tells the names of their counters. */
export function checkLimitNames(modules: ModulesContainer): void {
  for (const [name, counters] of sharedCounterNames(modules)) {
    new Logger('RateLimit').warn(
      `${counters.length} classes named ${name === '' ? 'nothing' : name} have @RateLimit without a name: they are counted apart, as ${counters.join(' and ')}. Write @RateLimit({ name }) to choose the names, or to count them together`,
    )
  }
}
