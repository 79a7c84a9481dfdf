import 'reflect-metadata'
import { once } from 'node:events'
import { ApolloDriver } from '@nestjs/apollo'
import type { ApolloDriverConfig } from '@nestjs/apollo'
import { Controller } from '@nestjs/common'
import type { INestApplication } from '@nestjs/common'
import { GraphQLModule, Query, Resolver } from '@nestjs/graphql'
import { MercuriusDriver } from '@nestjs/mercurius'
import type { MercuriusDriverConfig } from '@nestjs/mercurius'
import { ClientProxyFactory, MessagePattern, Transport } from '@nestjs/microservices'
import type { ClientProxy } from '@nestjs/microservices'
import { IoAdapter } from '@nestjs/platform-socket.io'
import { WsAdapter } from '@nestjs/platform-ws'
import { Test } from '@nestjs/testing'
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets'
import { Memcache } from 'memcache-ts'
import { testMemcache } from 'memcache-ts/testing'
import { firstValueFrom } from 'rxjs'
import { io } from 'socket.io-client'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { Cached, CacheResponse, MemcacheModule, RateLimit } from '../src/index.ts'
import { openApp } from './open-app.ts'

@Resolver()
class Greetings {
  calls = 0
  @Query(() => String) @RateLimit({ perMinute: 2 }) limited(): string {
    return 'hello'
  }
  @CacheResponse(60) @Query(() => Number) counted(): number {
    return ++this.calls
  }
  @Query(() => String) async free(): Promise<string> {
    return this.cached()
  }
  @Cached(60) async cached(): Promise<string> {
    return `hello ${++this.calls}`
  }
}

describe.each([
  ['Apollo on Express', 'express', { driver: ApolloDriver, autoSchemaFile: true } satisfies ApolloDriverConfig],
  [
    'Apollo on Fastify',
    'fastify',
    {
      driver: ApolloDriver,
      autoSchemaFile: true,
      // By default it hands on the request alone, and there is no reply to write headers into.
      context: (req: object, reply: object) => ({ req, reply }),
    } satisfies ApolloDriverConfig,
  ],
  [
    'Apollo on Fastify, as it comes',
    'fastify',
    { driver: ApolloDriver, autoSchemaFile: true } satisfies ApolloDriverConfig,
  ],
  ['Mercurius', 'fastify', { driver: MercuriusDriver, autoSchemaFile: true } satisfies MercuriusDriverConfig],
] as const)('in GraphQL by %s', (name, platform, config) => {
  const open = (root = MemcacheModule.forRoot()) =>
    openApp({ platform, root, imports: [GraphQLModule.forRoot(config as ApolloDriverConfig)], providers: [Greetings] })

  type Answer = { data: Record<string, unknown> | null; errors?: { message: string }[] }
  const post = async (test: Awaited<ReturnType<typeof open>>, query: string) => {
    const response = await test.fetch('/graphql', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ query }),
    })
    return { headers: response.headers, ...((await response.json()) as Answer) }
  }

  it('@RateLimit counts each run of a resolver, also within one query or batch', async () => {
    await using test = await open()
    const { headers, data } = await post(test, '{ limited }')
    expect(data).toEqual({ limited: 'hello' })
    if (name.endsWith('as it comes')) expect(headers.get('ratelimit')).toBeNull()
    else expect(headers.get('ratelimit')).toMatch(/^"Greetings.limited";r=1/)
    const { errors } = await post(test, '{ a: limited b: limited c: limited }')
    // Two are denied, and the first of them ends the query: the field must not be null.
    expect(errors!.map(({ message }) => message)).toEqual([expect.stringContaining('The limit of 2 is used up')])
    expect((await post(test, '{ free }')).data).toEqual({ free: 'hello 1' })
    expect((await post(test, '{ free }')).data).toEqual({ free: 'hello 1' })
  })

  it('@CacheResponse does nothing', async () => {
    await using test = await open()
    expect((await post(test, '{ counted }')).data).toEqual({ counted: 1 })
    expect((await post(test, '{ counted }')).data).toEqual({ counted: 2 })
  })

  it('the limit of the application counts a request once, with any number of resolvers', async () => {
    await using test = await open(MemcacheModule.forRoot({ rateLimit: { perMinute: 2 } }))
    expect((await post(test, '{ a: free b: free c: free }')).data).not.toBeNull()
    expect((await post(test, '{ free }')).data).not.toBeNull()
    expect((await post(test, '{ a: free b: free }')).errors?.[0]?.message).toContain('used up')
  })
})

@Controller()
class Messages {
  answered = 0
  @MessagePattern('by-sender')
  @RateLimit({ perMinute: 2, key: (message) => (message as { from?: string }).from })
  bySender(): string {
    return 'answered'
  }
  @MessagePattern('by-nobody')
  @RateLimit({ perMinute: 1 })
  byNobody(): string {
    return 'answered'
  }
  @MessagePattern('by-user')
  @RateLimit({ perMinute: 1, key: 'user' })
  byUser(): string {
    return 'answered'
  }
  @MessagePattern('counted')
  @CacheResponse(60)
  counted(): number {
    return ++this.answered
  }
  @MessagePattern('cached')
  @Cached(60)
  async cached(_message: object): Promise<number> {
    return ++this.answered
  }
}

/** A microservice and its client, on an application with a limit for all of its routes. */
async function openMicroservice() {
  const test = await testMemcache({ timeoutMs: 5000 })
  const module = await Test.createTestingModule({
    imports: [MemcacheModule.forRoot({ rateLimit: { perMinute: 1 } })],
    controllers: [Messages],
  })
    .overrideProvider(Memcache)
    .useValue(test.cache)
    .compile()
  const app = module.createNestMicroservice({
    transport: Transport.TCP,
    options: { port: 0, host: '127.0.0.1' },
    logger: false,
  })
  await app.listen()
  const { port } = app.unwrap<{ address(): { port: number } }>().address()
  const client: ClientProxy = ClientProxyFactory.create({
    transport: Transport.TCP,
    options: { port, host: '127.0.0.1' },
  })
  const send = (pattern: string, message: unknown): Promise<unknown> => firstValueFrom(client.send(pattern, message))
  const close = async (): Promise<void> => {
    await client.close()
    await app.close()
    await test.close()
  }
  return { send, [Symbol.asyncDispose]: close }
}

describe('in a microservice', () => {
  it('@RateLimit counts by its key, and does not count calls without a client', async () => {
    await using service = await openMicroservice()
    expect(await service.send('by-sender', { from: 'ann' })).toBe('answered')
    expect(await service.send('by-sender', { from: 'ann' })).toBe('answered')
    await expect(service.send('by-sender', { from: 'ann' })).rejects.toMatchObject({ status: 429 })
    expect(await service.send('by-sender', { from: 'bob' })).toBe('answered')
    for (const message of [{}, 42, '']) expect(await service.send('by-nobody', message)).toBe('answered')
    // What a message says of its sender is no user that a guard has found out.
    for (const _ of [1, 2]) expect(await service.send('by-user', { user: { id: 'ann' } })).toBe('answered')
  })

  it('@CacheResponse does nothing', async () => {
    await using service = await openMicroservice()
    expect([await service.send('counted', {}), await service.send('counted', {})]).toEqual([1, 2])
  })

  it('@Cached works on its handlers', async () => {
    await using service = await openMicroservice()
    expect(await service.send('cached', { city: 1 })).toBe(1)
    expect(await service.send('cached', { city: 1 })).toBe(1)
    expect(await service.send('cached', { city: 2 })).toBe(2)
  })
})

@WebSocketGateway()
class Gateway {
  @CacheResponse(60)
  @SubscribeMessage('hello')
  @RateLimit({ perMinute: 2 })
  hello(): { event: string; data: string } {
    return { event: 'hello', data: 'answered' }
  }
}

async function openGateway(adapter: (app: INestApplication) => ConstructorParameters<never> | object) {
  const test = await testMemcache({ timeoutMs: 5000 })
  const module = await Test.createTestingModule({ imports: [MemcacheModule.forRoot()], providers: [Gateway] })
    .overrideProvider(Memcache)
    .useValue(test.cache)
    .compile()
  const app = module.createNestApplication({ logger: false })
  app.useWebSocketAdapter(adapter(app) as IoAdapter)
  await app.listen(0, '127.0.0.1')
  const close = async (): Promise<void> => {
    await app.close()
    await test.close()
  }
  const { port } = app.getHttpServer().address() as { port: number }
  return { port, [Symbol.asyncDispose]: close }
}

describe('in a WebSocket gateway', () => {
  it('@RateLimit counts by address with socket.io', async () => {
    await using gateway = await openGateway((app) => new IoAdapter(app))
    const socket = io(`http://127.0.0.1:${gateway.port}`, { transports: ['websocket'] })
    const answers: unknown[] = []
    for (let i = 0; i < 3; i++) {
      const message = await new Promise((resolve) => {
        socket.once('hello', resolve)
        socket.once('exception', resolve)
        socket.emit('hello', {})
      })
      answers.push(message)
    }
    socket.close()
    expect(answers).toEqual(['answered', 'answered', expect.objectContaining({ status: 429 })])
  })

  it('@RateLimit counts by address with ws', async () => {
    await using gateway = await openGateway((app) => new WsAdapter(app))
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}`)
    await once(socket, 'open')
    const answers: unknown[] = []
    for (let i = 0; i < 3; i++) {
      socket.send(JSON.stringify({ event: 'hello', data: {} }))
      const [message] = (await once(socket, 'message')) as [Buffer]
      answers.push(JSON.parse(message.toString()))
    }
    socket.close()
    expect(answers.slice(0, 2)).toEqual([
      { event: 'hello', data: 'answered' },
      { event: 'hello', data: 'answered' },
    ])
    expect(JSON.stringify(answers[2])).toContain('429')
  })
})
