import type { FastifyRequest } from 'fastify'
import { expectTypeOf } from 'vitest'

// Type tests: `npm run types` fails if a type differs.

// As an application extends it.
declare module '../src/session.ts' {
  interface SessionData {
    views: number
  }
}

// What an application adds to SessionData is in the sessions of its requests, and may be missing.
expectTypeOf<FastifyRequest['session']['views']>().toEqualTypeOf<number | undefined>()
expectTypeOf<FastifyRequest['session']['id']>().toEqualTypeOf<string>()
