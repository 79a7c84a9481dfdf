import { testMemcache } from 'memcache-ts/testing'
import request from 'supertest'
import { describe, expect, it } from 'vitest'
import { createLoginApp } from '../src/login.ts'

const ANN = { name: 'ann', password: 'correct horse' }

describe('the login', () => {
  it('gives a new id, under which alone one is logged in, until the logout', async () => {
    await using test = await testMemcache()
    const app = await createLoginApp({ cache: test.cache, secret: 'test' })
    const agent = request.agent(app)
    await agent.get('/account').expect(401)
    await agent.post('/login').send({ name: 'ann', password: 'wrong' }).expect(401)
    await agent.post('/login').send({ name: '__proto__', password: 'wrong' }).expect(401)
    const first = await agent.post('/login').send(ANN).expect(200, { user: 'ann' })
    const second = await agent.post('/login').send(ANN).expect(200)
    const [before, after] = [first, second].map(({ headers }) => headers['set-cookie']![0]!.split(';')[0]!)
    expect(before).not.toBe(after)
    await request(app).get('/account').set('Cookie', before!).expect(401)
    await request(app).get('/account').set('Cookie', after!).expect({ user: 'ann', visits: 1 })
    await agent.get('/account').expect({ user: 'ann', visits: 2 })
    await agent.post('/logout').expect(200)
    await request(app).get('/account').set('Cookie', after!).expect(401)
  })

  it('keeps a session for a month if the login requests it', async () => {
    await using test = await testMemcache()
    const app = await createLoginApp({ cache: test.cache, secret: 'test' })
    const { headers } = await request(app)
      .post('/login')
      .send({ ...ANN, remember: true })
      .expect(200)
    expect(headers['set-cookie']![0]).toMatch(/; Expires=/)
    const plain = await request(app).post('/login').send(ANN).expect(200)
    expect(plain.headers['set-cookie']![0]).not.toMatch(/Expires=/)
  })

  it('is not claimed while memcached is away', async () => {
    await using test = await testMemcache()
    const app = await createLoginApp({ cache: test.cache, secret: 'test' })
    app.set('env', 'test')
    await test.server.stop()
    const { headers } = await request(app).post('/login').send(ANN).expect(503)
    expect(headers['set-cookie']).toBeUndefined()
  })
})
