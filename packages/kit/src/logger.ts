import { reportUncaught } from 'memcache-ts-client'

/** Where the kit says what an operator should know; `console` is one. */
export interface Logger {
  info(message: string): void
  warn(message: string): void
}

/** A logger that throws changes no call: Node reports what it threw. */
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
