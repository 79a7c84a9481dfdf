import type { Request } from 'express'

declare module 'express-session' {
  interface SessionData {
    /** The ids of the cities that this visitor viewed, the latest first. */
    lookedAt?: number[]
  }
}

const LENGTH = 8

/** Adds a city as the latest that this visitor viewed. */
export function remember(req: Request, id: number): void {
  req.session.lookedAt = [id, ...history(req).filter((other) => other !== id)].slice(0, LENGTH)
}

/** The ids of the cities that this visitor viewed, the latest first. */
export function history(req: Request): readonly number[] {
  return req.session.lookedAt ?? []
}
