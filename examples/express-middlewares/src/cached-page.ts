import express from 'express'
import type { Express } from 'express'
import { getDefaultMemcache } from 'memcache-ts'
import type { Memcache } from 'memcache-ts'
import { cacheResponse } from 'memcache-ts-express'

/** The articles, in place of a database. */
const articles = new Map([
  ['tea', { title: 'Tea', text: 'Boil water.' }],
  ['toast', { title: 'Toast', text: 'Cut bread.' }],
])

/** Pages that are rendered once and served to all clients until one of their articles changes. */
export function cachedPage(cache: Memcache = getDefaultMemcache()): Express {
  const app = express()
  app.use(express.json())

  // Stale for a minute at most, while one process renders the page again.
  const cached = (tags: (id: string) => readonly string[]) =>
    cacheResponse({ ttlSeconds: 300, staleSeconds: 60, cache, tags: (request) => tags(String(request.params['id'])) })

  app.get(
    '/articles',
    cached(() => ['articles']),
    (_request, response) => {
      const items = [...articles].map(
        ([id, { title }]) => `<li><a href="/articles/${encodeURIComponent(id)}">${escape(title)}</a></li>`,
      )
      response.send(`<ul>${items.join('')}</ul>`)
    },
  )

  app.get(
    '/articles/:id',
    cached((id) => [`article:${id}`]),
    (request, response) => {
      const article = articles.get(String(request.params.id))
      if (article === undefined) response.status(404).send('There is no such article.')
      else response.send(`<h1>${escape(article.title)}</h1><p>${escape(article.text)}</p>`)
    },
  )

  app.put('/articles/:id', async (request, response) => {
    const { id } = request.params
    const { title, text } = request.body as { title: string; text: string }
    articles.set(id, { title, text })
    // Invalidates all pages that contain the article, in all processes, by one operation per tag.
    await cache.invalidateTags(['articles', `article:${id}`])
    response.sendStatus(204)
  })

  return app
}

/** Returns a text escaped for HTML. */
function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
