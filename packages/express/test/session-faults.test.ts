import type { AddressInfo } from 'node:net'
import { sign, unsign } from 'cookie-signature'
import express from 'express'
import type { NextFunction, Request, Response } from 'express'
import { Cookie } from 'express-session'
import type { SessionData } from 'express-session'
import { memcache } from 'memcache-ts'
import type { Memcache } from 'memcache-ts'
import { CommandFaults, until } from 'memcache-ts-testing'
import type { CommandFault } from 'memcache-ts-testing'
import { describe, expect, it } from 'vitest'
import { MemcacheStore, memcacheSession } from '../src/index.ts'
import type { MemcacheSessionHandler } from '../src/index.ts'
import { asOldServer, listen, TestFleet } from './open-app.ts'

declare module 'express-session' {
  interface SessionData {
    user: string
    cart: Record<string, number>
    admin: boolean
    count: number
  }
}

type Store = MemcacheSessionHandler['store']
/** @param others the store of another process, which always works. */
type Handle = (req: Request, res: Response, others: Store) => unknown

/** Ways to give a session a new id. */
const NEW_IDS: Record<string, Handle> = {
  'a new id that nobody waits for': (req, res) => {
    void req.session.regenerate({ keep: true })
    res.json({})
  },
  'a save and a new id that nobody waits for': (req, res) => {
    req.session.count = 1
    req.session.save()
    void req.session.regenerate({ keep: true })
    res.json({})
  },
  'a new id, then a change': async (req, res) => {
    await req.session.regenerate({ keep: true })
    req.session.admin = true
    res.json({})
  },
  'a new id, then a stream': async (req, res) => {
    await req.session.regenerate({ keep: true })
    req.session.admin = true
    res.write('{')
    res.end('}')
  },
  'two new ids': async (req, res) => {
    await req.session.regenerate({ keep: true })
    await req.session.regenerate({ keep: true })
    res.json({})
  },
}

/** A user's session before each operation. */
const CART = { tea: 1 }
/**
 * Short, since every hanging command lasts so long; a command that is slower without a fault meets one more, which no
 * property forbids.
 */
const TIMEOUT_MS = 25
const PATIENT_MS = 10_000

const cookieFor = (id: string): string => `connect.sid=${encodeURIComponent(`s:${sign(id, 'test')}`)}`
const idOf = (cookie: string): string => String(unsign(decodeURIComponent(cookie.split('=')[1]!).slice(2), 'test'))

interface Site extends AsyncDisposable {
  readonly url: string
  readonly sessions: MemcacheSessionHandler
}

async function openSite(cache: Memcache, handle: Handle, others: Store): Promise<Site> {
  const app = express()
  app.set('env', 'test')
  const sessions = memcacheSession({ secret: 'test', cache, userId: (session) => session.user })
  app.use(sessions)
  app.get('/', async (req, res, next) => {
    try {
      await handle(req, res, others)
    } catch (error) {
      next(error)
    }
  })
  app.use((error: { statusCode?: number; message: string }, _req: Request, res: Response, next: NextFunction) => {
    if (res.headersSent) return next(error)
    res.status(error.statusCode ?? 500).json({ message: error.message })
  })
  const server = await listen(app)
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return { url, sessions, [Symbol.asyncDispose]: async () => server[Symbol.asyncDispose]() }
}

/** The response that the client gets, and the session that is stored afterwards. */
interface Outcome {
  /** 0: the connection was closed. */
  readonly status: number
  /** The session of the cookie that the user had before, and of that which the user has now. */
  readonly old: Partial<SessionData> | undefined
  readonly now: Partial<SessionData> | undefined
  readonly cookie: 'kept' | 'new' | 'cleared'
  readonly message: string | undefined
  /** Whether the handler was called: the session could be read. */
  readonly isHandled: boolean
  /** How many commands the server was sent. */
  readonly commands: number
}

interface Run {
  /** The command that fails, from 0; `undefined` for none. */
  readonly at: number | undefined
  readonly fault: CommandFault
  /** Whether all further commands hang. */
  readonly isForGood: boolean
}

/** A server, a store that reaches it always, and an application whose client meets faults. */
class Grid implements AsyncDisposable {
  readonly #fleet: TestFleet
  readonly #isOld: boolean
  /** The store of another process. */
  readonly store: Store

  constructor(isOld: boolean) {
    this.#fleet = new TestFleet({ withoutMeta: isOld })
    this.#isOld = isOld
    this.store = new MemcacheStore({ cache: this.#fleet.cache(), userId: (session) => session.user })
  }

  get clock(): TestFleet['clock'] {
    return this.#fleet.clock
  }

  async login(user: string, id: string): Promise<void> {
    await this.store.set(id, { cookie: new Cookie(), user, cart: CART } as unknown as SessionData)
  }

  /** @param settled awaited before the application's cache is closed; is given the id that the user has now. */
  async run(
    user: string,
    handle: Handle,
    { at, fault, isForGood }: Run,
    settled?: (id: string) => Promise<void>,
  ): Promise<Outcome> {
    const faults = new CommandFaults(this.#fleet.server)
    const connect = () => (this.#isOld ? asOldServer(faults.connect()) : faults.connect())
    const timeoutMs = at === undefined ? PATIENT_MS : TIMEOUT_MS
    const clock = this.#fleet.clock
    await using cache = memcache({ servers: [{ name: 'faults', connect }], logger: false, clock, timeoutMs })
    let isHandled = false
    const handleOnce: Handle = (...args) => {
      isHandled = true
      return handle(...args)
    }
    await using site = await openSite(cache, handleOnce, this.store)
    const id = `id-of-${user}`
    await this.login(user, id)
    // The connection is open, and the generation of the sessions is known.
    await site.sessions.store.get('somebody').catch(() => {})
    let commands = 0
    faults.faultOf = () => {
      const number = commands++
      if (at === undefined || number < at) return undefined
      return number === at ? fault : isForGood ? 'hang before' : undefined
    }
    const { status, set, message } = await fetch(site.url, { headers: { cookie: cookieFor(id) } }).then(
      async (response) => ({
        status: response.status,
        set: response.headers.getSetCookie()[0],
        message: ((await response.json()) as { message?: string }).message,
      }),
      () => ({ status: 0, set: undefined, message: undefined }),
    )
    faults.faultOf = () => undefined
    const value = set?.split(';')[0]
    const cookie = value === undefined ? 'kept' : value === 'connect.sid=' ? 'cleared' : 'new'
    const now = cookie === 'new' ? idOf(value!) : id
    await settled?.(now)
    return {
      status,
      old: await this.store.get(id),
      now: cookie === 'cleared' ? undefined : await this.store.get(now),
      cookie,
      message,
      isHandled,
      commands,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#fleet[Symbol.asyncDispose]()
  }
}

/** The faults after which the client does not know what was carried out, and may not find out. */
const FAULTS = [
  { fault: 'hang after', isForGood: false },
  { fault: 'close after', isForGood: false },
  { fault: 'hang before', isForGood: true },
  { fault: 'hang after', isForGood: true },
] as const

/** Runs an operation without a fault, and then with each fault at each of its commands. */
async function forEachFault(
  isOld: boolean,
  handle: Handle,
  check: (outcome: Outcome, user: string, grid: Grid) => void | Promise<void>,
): Promise<void> {
  const tryRun = async (run: Run): Promise<Outcome> => {
    await using grid = new Grid(isOld)
    const outcome = await grid.run('ann', handle, run)
    try {
      await check(outcome, 'ann', grid)
    } catch (error) {
      throw new Error(`${JSON.stringify({ run, outcome })}: ${(error as Error).message}`, { cause: error })
    }
    return outcome
  }
  const { status, message, commands } = await tryRun({ at: undefined, fault: 'hang before', isForGood: false })
  expect(status, message).toBe(200)
  await Promise.all(
    FAULTS.map(async (fault) => {
      for (let at = 0; at < commands; at++) await tryRun({ at, ...fault })
    }),
  )
}

const CHANGE = 'a new id, then a change'

describe('while memcached fails at any command', () => {
  it.each([
    ...Object.keys(NEW_IDS).map((name) => [name, 'memcached'] as const),
    [CHANGE, 'a memcached of before 1.6'] as const,
  ])('%s leaves the user a cookie of a session that exists, with %s', async (name, version) => {
    await forEachFault(version !== 'memcached', NEW_IDS[name]!, ({ status, old, now, cookie }, user) => {
      expect(now).toMatchObject({ user, cart: CART })
      expect([0, 200, 503]).toContain(status)
      // What comes with the new id does not come to those who knew the old one.
      expect(old?.admin).toBeUndefined()
      if (status !== 200) return
      expect(cookie).toBe('new')
      expect(old).toBeUndefined()
      if (name === CHANGE) expect(now).toMatchObject({ admin: true })
    })
  })

  it.each([false, true])('a new id loses no write of another request; without meta commands: %s', async (isOld) => {
    const handle: Handle = async (req, res, others) => {
      const theirs = (await others.get(req.sessionID))!
      await others.set(req.sessionID, { ...theirs, cart: { ...theirs.cart, milk: 2 } })
      await req.session.regenerate({ keep: true })
      res.json({})
    }
    await forEachFault(isOld, handle, ({ status, now, isHandled }) => {
      if (!isHandled) return
      // While no server responds, the writes of others cannot be read; the client gets 503.
      if (status !== 200) expect(now).toMatchObject({ cart: CART })
      else expect(now).toMatchObject({ cart: { tea: 1, milk: 2 } })
    })
  })

  it.each(['destroy', 'clear'] as const)(
    'a new id brings no session back from a %s by another request',
    async (end) => {
      const handle: Handle = async (req, res, others) => {
        await (end === 'clear' ? others.clear() : others.destroy(req.sessionID))
        const error = await req.session.regenerate({ keep: true }).catch((problem: unknown) => problem)
        res.json({ message: String(error) })
      }
      await forEachFault(false, handle, ({ now, old, isHandled, message }) => {
        if (!isHandled) return
        expect(old).toBeUndefined()
        // As above: it is not known whether the session was destroyed.
        if (!/memcached at \S+ (is down|does not respond)/.test(message!)) expect(now).toBeUndefined()
      })
    },
  )

  it.each<[string, Handle]>([
    [
      'waited for',
      async (req, res) => {
        await new Promise<void>((resolve, reject) => {
          req.session.destroy((error: unknown) =>
            error === undefined || error === null ? resolve() : reject(error as Error),
          )
        })
        res.json({})
      },
    ],
    [
      'that nobody waits for',
      (req, res) => {
        req.session.count = 1
        req.session.save()
        ;(req.session.destroy as unknown as () => void)()
        res.json({})
      },
    ],
  ])('a logout %s is told only if it was carried out, and takes no cookie otherwise', async (_, handle) => {
    await forEachFault(false, handle, ({ status, old, cookie }) => {
      if (status === 200) expect([old, cookie]).toEqual([undefined, 'cleared'])
      else expect([status, cookie]).toEqual([503, 'kept'])
    })
  })

  it('a new id does not undo a logout, when memcached reports the state of the old id', async () => {
    const isGone = async (grid: Grid, id: string): Promise<boolean> => (await grid.store.get(id)) === undefined
    const tryAt = async (at: number | undefined): Promise<Outcome> => {
      await using grid = new Grid(false)
      let isLoggedOut = false
      const handle: Handle = async (req, res, others) => {
        await others.destroy(req.sessionID)
        isLoggedOut = true
        await req.session.regenerate({ keep: true })
        res.json({})
      }
      const outcome = await grid.run('ann', handle, { at, fault: 'hang before', isForGood: true }, async (id) => {
        if (isLoggedOut) await until(() => isGone(grid, id))
      })
      if (isLoggedOut) expect(outcome, String(at)).toMatchObject({ old: undefined, now: undefined })
      return outcome
    }
    const { commands } = await tryAt(undefined)
    await Promise.all(Array.from({ length: commands }, (_, at) => tryAt(at)))
  })

  it('a login succeeds only if it is stored under a new id', async () => {
    const handle: Handle = (req, res, _others) => {
      const { user: before } = req.session as { user?: string }
      const user = `${before}-2`
      req.session.regenerate((error) => {
        req.session.user = user
        res.status(error === undefined || error === null ? 200 : 503).json({})
      })
    }
    await forEachFault(false, handle, async ({ status, old, now, cookie }, user, grid) => {
      expect(old?.user).not.toBe(`${user}-2`)
      if (status === 200) expect([old, now?.user, cookie]).toEqual([undefined, `${user}-2`, 'new'])
      // Whatever is stored can be found and ended by its user.
      const listed = (await grid.store.sessionsOf(`${user}-2`)).length
      expect((await grid.store.all()).filter((each) => each.user === `${user}-2`)).toHaveLength(listed)
      expect(await grid.store.destroySessionsOf(`${user}-2`)).toBe(listed)
    })
  })

  it('"log out everywhere" succeeds only if all sessions are ended, and ends them at the next attempt', async () => {
    const handle: Handle = async (req, res, others) => {
      const { user } = req.session as { user?: string }
      await others.set(`second-of-${user}`, { cookie: new Cookie(), user } as unknown as SessionData)
      await others.set(`third-of-${user}`, { cookie: new Cookie(), user } as unknown as SessionData)
      await (req.sessionStore as Store).destroySessionsOf(user!, { except: req.sessionID })
      res.json({})
    }
    await forEachFault(false, handle, async ({ status, now }, user, grid) => {
      expect(now).toMatchObject({ user })
      const others = async () => (await grid.store.all()).filter((each) => each.user === user).length - 1
      if (status === 200) expect(await others()).toBe(0)
      await grid.store.destroySessionsOf(user, { except: `id-of-${user}` })
      expect(await others()).toBe(0)
    })
  })

  it('a lock loses no count, and ends by its lease', async () => {
    const handle: Handle = async (req, res) => {
      await using lock = await req.session.lock()
      req.session.count = (req.session.count ?? 0) + 1
      await lock.release()
      res.json({ count: req.session.count })
    }
    await forEachFault(false, handle, async ({ status, now }, user, grid) => {
      if (status === 200) expect(now?.count).toBe(1)
      expect(now?.count ?? 0).toBeLessThanOrEqual(1)
      const id = `id-of-${user}`
      const lock = await grid.store.lock(id, { waitMs: 0 }).catch(() => undefined)
      if (status === 200) expect(lock).toBeDefined()
      await lock?.release()
    })
  })
})
