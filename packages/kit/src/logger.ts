/** Where the kit says what an operator should know; `console` is one. */
export interface Logger {
  info(message: string): void
  warn(message: string): void
}
