import { Router, json } from 'express'
import type { Cities } from './cities.ts'
import { history, remember } from './history.ts'
import { cityChange, cityId, numberParameter, textParameter } from './parameters.ts'
import { RequestError } from './problem.ts'
import { timed } from './server-timing.ts'

/** Returns the routes under `/api`, except the statistics. */
export function routes(cities: Cities): Router {
  const router = Router()

  router.get('/cities/:id', async (req, res) => {
    const id = cityId(req.params.id)
    const city = await timed(res, () => cities.byId.getOrSet(id))
    if (city === null) throw new RequestError(404, `There is no city ${id}.`)
    remember(req, id)
    res.json(city)
  })

  router.patch('/cities/:id', json(), async (req, res) => {
    const id = cityId(req.params.id)
    const change = cityChange(req.body)
    const city = await timed(res, () => cities.change(id, change))
    if (city === null) throw new RequestError(404, `There is no city ${id}.`)
    res.json(city)
  })

  router.get('/search', async (req, res) => {
    const q = textParameter(req.query, 'q')
    res.json({ q, cities: await timed(res, () => cities.search(q)) })
  })

  router.get('/near', async (req, res) => {
    const lat = numberParameter(req.query, 'lat', { min: -90, max: 90 })
    const lon = numberParameter(req.query, 'lon', { min: -180, max: 180 })
    const km = numberParameter(req.query, 'km', { min: 1, max: 20_000, default: 50 })
    res.json({ lat, lon, km, cities: await timed(res, () => cities.near(lat, lon, km)) })
  })

  router.get('/me', async (req, res) => {
    const lookedAt = await timed(res, () => Promise.all(history(req).map((id) => cities.byId.getOrSet(id))))
    res.json({ lookedAt })
  })

  return router
}
