import type { IncomingHttpHeaders } from 'node:http'

/** Fields of most requests that identify no user; they skip the patterns below. */
const ORDINARY_FIELDS: ReadonlySet<string> = new Set([
  ':authority',
  ':method',
  ':path',
  ':scheme',
  'accept',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'connection',
  'cookie',
  'host',
  'if-modified-since',
  'if-none-match',
  'origin',
  'pragma',
  'range',
  'referer',
  'sec-ch-ua',
  'sec-ch-ua-mobile',
  'sec-ch-ua-platform',
  'sec-fetch-dest',
  'sec-fetch-mode',
  'sec-fetch-site',
  'upgrade-insecure-requests',
  'user-agent',
])

/**
 * Fields that identify the user of a request, besides cookies: credentials, and fields of gateways that have checked
 * them (oauth2-proxy, Authelia, authentik, Pomerium, Kong, SiteMinder, Tailscale, and those of AWS, Azure, Cloudflare
 * and Google).
 */
const CREDENTIAL_FIELD = new RegExp(
  `^(?:${[
    '(?:proxy-)?authorization',
    'dpop',
    '(?:x-)?api-?key',
    '(?:x-)?(?:api-|access-|app-|auth-|bearer-|id-|jwt-|private-|refresh-|security-|session-|user-|amz-security-|gitlab-|vault-)?token',
    '(?:x-)?jwt(?:-assertion|-payload)?',
    '(?:x-)?session(?:-?id)?',
    'x-(?:auth-?)?user(?:-?(?:id|name|email|roles?|groups|info))?',
    'x-auth-request-.+',
    'x-authenticated-.+',
    'x-forwarded-(?:user|email|login|groups|preferred-username|access-token|id-token|client-cert|tls-client-cert(?:-info)?)',
    '(?:x-)?remote-(?:user|email|name|groups)',
    'x-webauth-.+',
    'x-(?:consumer|credential)-.+',
    '(?:x-)?ssl-client-.+',
    'x-client-(?:cert|dn|verify)(?:-.+)?',
    'x-amzn-(?:oidc|mtls)-.+',
    'x-ms-(?:client-principal|token)(?:-.+)?',
    'x-goog-(?:authenticated-user|iap)-.+',
    'x-(?:endpoint|apigateway)-api-userinfo',
    'cf-access-.+',
    'x-pomerium-.+',
    'x-authentik-.+',
    'tailscale-user-.+',
    'sm-?_?user',
  ].join('|')})$`,
)

/** Returns whether a field, in lower case, identifies the user of a request. */
export function isCredentialField(name: string): boolean {
  return !ORDINARY_FIELDS.has(name) && CREDENTIAL_FIELD.test(name)
}

/** Fields of responses, besides `Set-Cookie`, that give one client a secret or the state of its session. */
const CLIENT_FIELD =
  /^(?:(?:x-)?[cx]srf-token|dpop-nonce|replay-nonce|x-wp-nonce|authentication-info|set-login|(?:sec|secure)-session-.+)$/

/** Returns whether a response field, in lower case, is meant for one client. */
export function belongsToClient(name: string): boolean {
  return CLIENT_FIELD.test(name) || isCredentialField(name)
}

/** Returns whether a request has a credential field that is not in its key. */
export function hasCredentials(headers: IncomingHttpHeaders, vary: readonly string[]): boolean {
  for (const name in headers) if (isCredentialField(name) && !vary.includes(name)) return true
  return false
}

/**
 * Words in the names of fields by which applications commonly distinguish clients: `X-Tenant-Id`, `X-Customer-Email`,
 * `Client-Cert`. Unlike a credential field, such a field need not identify a single user, so that `vary` with its name
 * does not distinguish users.
 */
const CLIENT_WORD = new RegExp(
  `(?:^|[-_])(?:${[
    '(?:user|member|customer|account|tenant|org|organi[sz]ation|workspace|session|device|cart|basket)s?-?(?:id)?',
    '(?:shop|merchant|vendor|seller|buyer|partner|company|team|project|person|employee|staff|patient)s?-?(?:id)?',
    '(?:student|player|subscriber|visitor|guest|wallet)s?-?(?:id)?|(?:client|store|install(?:ation)?|machine)-?id',
    'phone|msisdn|sub|actor|caller|owner|viewer|profile|persona|participant|operator|fingerprint|udid|idfa|idfv|gaid',
    'impersonat(?:e|ed|ion)|act(?:ing)?-as|on-behalf-of',
    'user-?name|u?uid|sid|e-?mail|login|principal|identity|subject|roles?|groups|permissions|scopes?|claims',
    'auth|authorization|authenticat(?:ion|ed)|credentials?|tokens?|jwt|oidc|saml|sso|secret|password',
    'signature|csrf|xsrf|nonce|otp|bearer|cookies?|ticket|assertion|passport|licen[cs]e|keys?|api-?key|access-?key',
    'cert|certificate',
  ].join('|')})(?:$|[-_])`,
)

/** Fields that have such a word and are the same for all clients, or that a hosting platform sets in every request. */
const NO_CLIENT_FIELD = /user-agent|^cf-visitor$|^x-(?:vercel|nf)-|^(?:x-)?idempotency-key$|^sec-websocket-|cache-key$/

/** Returns whether a request has a field by which applications commonly distinguish clients, and that is not in its key. */
export function hasClientFields(headers: IncomingHttpHeaders, vary: readonly string[]): boolean {
  for (const name in headers) {
    if (ORDINARY_FIELDS.has(name) || !CLIENT_WORD.test(name) || vary.includes(name)) continue
    if (!NO_CLIENT_FIELD.test(name) && !isAddressField(name)) return true
  }
  return false
}

/** Fields that contain the client's address, so that each client has another value; others are known by their names. */
const ADDRESS_FIELDS: ReadonlySet<string> = new Set([
  'x-forwarded-for',
  'x-original-forwarded-for',
  'x-vercel-forwarded-for',
  'x-forwarded',
  'forwarded-for',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-remote-ip',
  'x-remote-addr',
  'x-originating-ip',
  'x-envoy-external-address',
  'x-azure-clientip',
  'x-azure-socketip',
  'x-appengine-user-ip',
  'x-nf-client-connection-ip',
  'true-client-ip',
  'cf-connecting-ip',
  'cf-connecting-ipv6',
  'cf-pseudo-ipv4',
  'do-connecting-ip',
  'fastly-client-ip',
  'fly-client-ip',
])

/** `Client-IP`, `X-ProxyUser-Ip`, `WL-Proxy-Client-IP`, `Ali-CDN-Real-IP` and others. */
const ADDRESS_FIELD = /(?:^|[-_])(?:ip|ipv[46]|(?:client|socket|remote|real)-?ip|remote[-_]addr(?:ess)?)$/

/** Other fields by which proxies pass on the client's request; applications use them in links and redirects. */
const FORWARDING = [
  'x-forwarded-.+|x-original-.+|x-rewrite-.+|x-envoy-original-.+|x-proxy-.+|forwarded|front-end-https',
  '(?:x-)?http-host-override|x-(?:real-)?host|x-url-scheme|x-scheme|x-script-name|x-base-url|x-http-destinationurl',
  'cloudfront-forwarded-proto|cf-visitor|x-arr-ssl|x-appengine-https|wl-proxy-ssl',
  'x-matched-path',
]

/**
 * Fields by which a framework, or the code of a platform before it, changes how a page is rendered: Next.js, Nuxt and
 * Nitro, React Router and Remix, SvelteKit, Astro, SolidStart, TanStack Start, Qwik. Frameworks do not name them in
 * `Vary`, and clients can send them.
 */
const RENDERING = [
  'x-(?:middleware|invoke|now|next|nextjs|prerender)-.+|x-prerender',
  'x-(?:nuxt|nitro|react-router|remix|sveltekit|astro|solid|solidstart|tsr|tss|gatsby|angular)-.+',
  'x-qrl|x-server-(?:id|instance|function)|x-tsrf?',
]

/**
 * Fields by which pages request a part of a page, or its data, under the URL of the page: htmx, jQuery and others with
 * `XMLHttpRequest`, Inertia, PJAX, Turbo, Unpoly, Next.js. Not all handlers that obey them say so in `Vary`.
 */
const FRAGMENTS = [
  'hx-.+|x-requested-with|x-inertia(?:-.+)?|x-pjax(?:-.+)?|x-alpine-(?:request|target)|x-livewire(?:-.+)?',
  'x-ic-.+|datastar-request|turbo-frame|x-up-.+|rsc|next-router-.+|next-url|next-action',
]

/**
 * Fields that few clients send, to select another version, language or form of a response. Routers and handlers that
 * obey them often do not say so in `Vary`: in Fastify, any `Accept-Version` turns a response into a 404.
 */
const SELECTION = [
  'accept-.+|prefer|(?:x-)?(?:api-)?version',
  '(?:x-)?(?:custom-)?(?:lang|language|locale|currency|country|region|market|time-?zone|theme)(?:-code)?',
]

const KEYED_FIELD = new RegExp(`^(?:${[...FORWARDING, ...RENDERING, ...FRAGMENTS, ...SELECTION].join('|')})$`)

/**
 * Returns the names of the fields of a request that are in its key, whether `Vary` names them or not: those about the
 * connection to a proxy, apart from credentials, and those that select a part of a page.
 */
export function keyedFields(headers: IncomingHttpHeaders): string[] {
  const names: string[] = []
  for (const name in headers) {
    if (ORDINARY_FIELDS.has(name)) continue
    if (isAddressField(name) || (KEYED_FIELD.test(name) && !CREDENTIAL_FIELD.test(name))) names.push(name)
  }
  return names
}

/** Returns whether a field, in lower case, contains the client's address. */
export function isAddressField(name: string): boolean {
  return ADDRESS_FIELDS.has(name) || ADDRESS_FIELD.test(name)
}

/** Fields by which some frameworks change the method of a request. */
const METHOD_OVERRIDES = ['x-http-method-override', 'x-http-method', 'x-method-override'] as const

/** Returns whether a request has a field that may change its method. */
export function overridesMethod(headers: IncomingHttpHeaders): boolean {
  return METHOD_OVERRIDES.some((name) => headers[name] !== undefined)
}
