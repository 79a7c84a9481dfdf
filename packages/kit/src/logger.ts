import { reportUncaught } from 'memcache-ts-client'

/** The operator's log; `console` has the same methods. */
export interface Logger {
  info(message: string): void
  warn(message: string): void
}

/** Wraps a logger so that its errors do not disturb a call: they become uncaught exceptions. */
export function guardedLogger(logger: Logger): Logger {
  const guarded =
    (level: keyof Logger) =>
    (message: string): void => {
      try {
        logger[level](message)
      } catch (error) {
        reportUncaught(error)
      }
    }
  return { info: guarded('info'), warn: guarded('warn') }
}
