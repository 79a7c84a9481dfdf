// Prints the files that a request crosses which reads its session: `node test/flows/session.js` after `npm run build`.
import { printFlow } from './express-app.js'

await printFlow(
  async (app, cache) => {
    const { memcacheSession } = await import('memcache-ts-express')
    app.use(memcacheSession({ cache, secret: 'a secret for the trace' }))
    app.get('/', (request, response) => response.send(`${request.session.visits}`))
    app.get('/enter', (request, response) => {
      request.session.visits = 1
      response.send('')
    })
  },
  async (url) => {
    const entered = await fetch(`${url}enter`)
    const cookie = entered.headers.get('set-cookie').split(';', 1)[0]
    return async () => (await fetch(url, { headers: { cookie } })).text()
  },
)
