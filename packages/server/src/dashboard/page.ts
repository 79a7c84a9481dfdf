import { createHash } from 'node:crypto'
import { readPagePart } from './page-parts.ts'
import type { PagePart } from './page-parts.ts'

/** A self-contained page, and the policy that allows nothing else to run. */
export interface Page {
  readonly html: string
  readonly contentSecurityPolicy: string
}

const ICON = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><rect width='16' height='16' rx='4' fill='#0a756f'/><path d='M3 11l3-4 3 2 4-5' fill='none' stroke='#fff' stroke-width='1.6'/></svg>`

const pages = new Map<string, Page>()

/** Returns the page of the dashboard. */
export function dashboardPage(): Page {
  return pageOf('dashboard.html', 'dashboard.js')
}

/** Returns the page with the form for the token, for dashboards that show nothing without a token. */
export function loginPage(): Page {
  return pageOf('login.html', undefined)
}

function pageOf(body: PagePart, script: PagePart | undefined): Page {
  const known = pages.get(body)
  if (known !== undefined) return known
  const css = readPagePart('dashboard.css')
  const js = script === undefined ? '' : readPagePart(script)
  const html = [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">',
    '<meta name="robots" content="noindex"><title>memcached</title>',
    `<link rel="icon" href="data:image/svg+xml,${encodeURIComponent(ICON)}">`,
    `<style>${css}</style></head>`,
    readPagePart(body),
    ...(js === '' ? [] : [`<script type="module">${js}</script>`]),
    '</html>',
  ].join('\n')
  const page = { html, contentSecurityPolicy: policyOf(css, js) }
  pages.set(body, page)
  return page
}

function policyOf(css: string, js: string): string {
  return [
    "default-src 'none'",
    js === '' ? "script-src 'none'" : `script-src ${hashOf(js)}`,
    `style-src ${hashOf(css)}`,
    'img-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ')
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
