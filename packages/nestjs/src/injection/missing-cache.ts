import { MemcacheOptionError } from 'memcache-ts'

/** What to write where a cache is needed that the application does not have. */
export function missingCache(who: string, name: string | undefined): MemcacheOptionError {
  const options = name === undefined ? '' : `{ name: '${name}' }`
  return new MemcacheOptionError(
    `${who} needs a cache, and there is none${name === undefined ? '' : ` named '${name}'`}: write imports: [MemcacheModule.forRoot(${options})] in the application's root module`,
  )
}
