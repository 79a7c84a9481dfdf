import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import express, { Router } from 'express'

const { resolve } = createRequire(import.meta.url)

// The page sends requests only to this service, and runs only its own files.
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "font-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

/** The page at `/`, its script, styles and fonts. */
export function page(): Router {
  const router = Router()
  router.use((_req, res, next) => {
    res.set({
      'Content-Security-Policy': CONTENT_SECURITY_POLICY,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
    })
    next()
  })
  router.use(express.static(fileURLToPath(new URL('../public', import.meta.url))))
  for (const font of ['figtree', 'newsreader']) {
    const file = resolve(`@fontsource-variable/${font}/files/${font}-latin-wght-normal.woff2`)
    router.use('/fonts', express.static(dirname(file), { immutable: true, maxAge: '30d' }))
  }
  return router
}
