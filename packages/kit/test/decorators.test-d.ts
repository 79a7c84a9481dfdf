import { cached, Cached, CacheEvict, CachePut } from '../src/index.ts'

// Type tests: `npm run types` fails if one of the expected errors is missing.

// @ts-expect-error a name is needed: it is the namespace
void (() => cached(async () => 1, { ttlSeconds: 1 }))

export class Plain {
  // @ts-expect-error a cache is never written synchronously
  @CachePut({ key: () => ['k'] })
  put(): number {
    return 1
  }
  // @ts-expect-error nor evicted
  @CacheEvict({ all: true })
  evict(): number {
    return 1
  }
  // @ts-expect-error the method's argument is a string
  @Cached({ key: (id: number) => [id] })
  async find(id: string): Promise<string> {
    return id
  }
}
