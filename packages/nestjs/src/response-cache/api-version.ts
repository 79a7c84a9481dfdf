import { VersioningType } from '@nestjs/common'
import type { ExecutionContext, VersioningOptions } from '@nestjs/common'
import { Reflector } from '@nestjs/core'
import type { ApplicationConfig } from '@nestjs/core'
import type { CacheableRequest } from './cache-response-options.ts'

/** The metadata key of `@Version`; not all versions of Nest export it. */
const VERSION_METADATA = '__version__'
type Versions = NonNullable<VersioningOptions['defaultVersion']>

const reflector = new Reflector()

/**
 * Returns the API version of a request as a part of the key; `undefined` if its route has no version. A request field
 * may select the version, so that the routes of one URL differ only by it. A route with several versions may depend on
 * the requested one.
 */
export function versionOf(
  context: ExecutionContext,
  config: ApplicationConfig,
  request: CacheableRequest,
): string | undefined {
  const versioning = config.getVersioning()
  const own = reflector.getAllAndOverride<Versions | undefined>(VERSION_METADATA, [
    context.getHandler(),
    context.getClass(),
  ])
  const versions = own ?? versioning?.defaultVersion
  if (versioning === undefined || !Array.isArray(versions)) return own === undefined ? undefined : String(own)
  const requested = requestedText(versioning, request)
  // Only the versions of the route count, so that other texts in the field make no further keys.
  const named = versions.filter((version) => typeof version === 'string' && requested.includes(version))
  return JSON.stringify([versions.map(String), named])
}

/** Returns the texts that select a version, for the kinds of versioning that do not have it in the URL. */
function requestedText(versioning: VersioningOptions, request: CacheableRequest): string | readonly string[] {
  switch (versioning.type) {
    case VersioningType.HEADER:
      return [request.headers?.[versioning.header.toLowerCase()] ?? []].flat()
    case VersioningType.MEDIA_TYPE:
      return String(request.headers?.accept)
    case VersioningType.CUSTOM:
      return [versioning.extractor(request)].flat()
    case VersioningType.URI:
      return []
  }
}
