// Prints the files that a request crosses whose response is stored: `node test/flows/cached-response.js` after `npm run
// build`.
import { printFlow } from './express-app.js'

await printFlow(
  async (app, cache) => {
    const { cacheResponse } = await import('memcache-ts-express')
    app.get('/', cacheResponse({ ttlSeconds: 60, cache }), (_request, response) => response.json({ answer: 42 }))
  },
  async (url) => async () => (await fetch(url)).text(),
)
