import { Cached, Warm } from '../src/index.ts'

// Type tests: `npm run types` fails if one of the expected errors is missing.

export class Wrong {
  // @ts-expect-error -- not async
  @Cached(60) sync(): number {
    return 1
  }
  // @ts-expect-error -- it takes a number
  @Cached({ ttlSeconds: 60, key: (name: string) => [name] }) async find(id: number): Promise<number> {
    return id
  }
}

export class Misspelt {
  // @ts-expect-error -- there is no such method
  @Warm('fnid') top() {
    return []
  }
}
