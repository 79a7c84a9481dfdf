import { testMemcache } from 'memcache-ts/testing'
import request from 'supertest'
import { expect, it } from 'vitest'
import { cachedPage } from '../src/cached-page.ts'

it('renders a page once, until an article in it changes', async () => {
  await using test = await testMemcache()
  const app = cachedPage(test.cache)
  const get = async (path: string) => {
    const { text, headers } = await request(app).get(path).set('Host', 'blog.test')
    return { text, cacheStatus: headers['cache-status'] }
  }

  const first = await get('/articles/tea')
  expect(first.cacheStatus).toBe('memcache-ts; fwd=uri-miss; stored')
  const second = await get('/articles/tea')
  expect(second).toEqual({ text: first.text, cacheStatus: 'memcache-ts; hit; ttl=300' })
  await get('/articles')
  await get('/articles/toast')

  await request(app).put('/articles/tea').set('Host', 'blog.test').send({ title: 'Green tea', text: 'Not too hot.' })

  expect((await get('/articles/tea')).text).toBe('<h1>Green tea</h1><p>Not too hot.</p>')
  expect((await get('/articles')).text).toContain('Green tea')
  expect((await get('/articles/toast')).cacheStatus).toBe('memcache-ts; hit; ttl=300')
})
