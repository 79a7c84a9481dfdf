import type { Request } from 'express'

declare module 'express-session' {
  interface SessionData {
    /** The numbers of the cities that this visitor looked at, the last one first. */
    lookedAt?: number[]
  }
}

const LENGTH = 8

/** Puts a city at the head of what this visitor looked at. */
export function remember(req: Request, id: number): void {
  req.session.lookedAt = [id, ...history(req).filter((other) => other !== id)].slice(0, LENGTH)
}

/** The numbers of the cities that this visitor looked at, the last one first. */
export function history(req: Request): readonly number[] {
  return req.session.lookedAt ?? []
}
