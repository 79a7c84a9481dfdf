import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import express from 'express'
import type { Express, Request, RequestHandler } from 'express'
import { memcacheSession } from 'memcache-ts-express'
import type { MemcacheSessionOptions } from 'memcache-ts-express'

// The properties of `req.session`, for TypeScript: declared once, anywhere in the application.
declare module 'express-session' {
  interface SessionData {
    user: { name: string; since: string }
    visits: number
  }
}

/** A month, for users who want to stay logged in. */
const REMEMBER_MS = 30 * 86_400_000
const KEY_BYTES = 32
const hash = promisify(scrypt) as (password: string, salt: Buffer, bytes: number) => Promise<Buffer>

/** A site with a login. */
export async function createLoginApp(options: MemcacheSessionOptions = {}): Promise<Express> {
  const users = new Map([['ann', await passwordOf('correct horse')]])
  const stranger = await passwordOf(randomBytes(KEY_BYTES).toString('hex'))

  const app = express()
  app.use(express.json())
  // Without options: the memcached of MEMCACHE_SERVERS, or one in this process, and the secret of SESSION_SECRET.
  app.use(memcacheSession(options))

  app.post('/login', async (req, res) => {
    const { name, password, remember } = (req.body ?? {}) as { name?: string; password?: string; remember?: boolean }
    // An unknown name takes as long as a wrong password.
    const known = users.get(String(name))
    if (!(await isPassword(String(password), known ?? stranger)) || known === undefined) {
      res.status(401).json({ error: 'wrong name or password' })
      return
    }
    // A new id: an attacker who knew or planted the old id is not logged in.
    await regenerate(req)
    req.session.user = { name: String(name), since: new Date().toISOString() }
    if (remember === true) req.session.cookie.maxAge = REMEMBER_MS
    // The response is sent when the session has been saved.
    res.json({ user: req.session.user.name })
  })

  app.post('/logout', (req, res, next) => {
    req.session.destroy((error: unknown) => {
      if (error !== null && error !== undefined) next(error)
      else res.clearCookie('connect.sid').json({})
    })
  })

  app.get('/account', onlyUsers, (req, res) => {
    req.session.visits = (req.session.visits ?? 0) + 1
    res.json({ user: req.session.user!.name, visits: req.session.visits })
  })
  return app
}

const onlyUsers: RequestHandler = (req, res, next) => {
  if (req.session.user === undefined) res.status(401).json({ error: 'log in first' })
  else next()
}

function regenerate(req: Request): Promise<void> {
  return new Promise((resolve, reject) => {
    req.session.regenerate((error: unknown) => {
      if (error !== null && error !== undefined) reject(error)
      else resolve()
    })
  })
}

interface StoredPassword {
  readonly salt: Buffer
  readonly key: Buffer
}

async function passwordOf(password: string): Promise<StoredPassword> {
  const salt = randomBytes(KEY_BYTES)
  return { salt, key: await hash(password, salt, KEY_BYTES) }
}

async function isPassword(given: string, { salt, key }: StoredPassword): Promise<boolean> {
  return timingSafeEqual(await hash(given, salt, KEY_BYTES), key)
}
