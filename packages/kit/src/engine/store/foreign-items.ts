import type { MemcachedClient } from 'memcache-ts-client'
import { MemcacheDecodeError, MemcacheServerError, MemcacheUnsupportedError } from 'memcache-ts-protocol'

/**
 * Returns whether an error says that another program has stored an item under one of the kit's keys: it cannot be
 * decoded, or it is not a number.
 */
export function isForeign(error: unknown): boolean {
  return (
    error instanceof MemcacheDecodeError ||
    (error instanceof MemcacheServerError && error.message.includes('non-numeric'))
  )
}

/**
 * Deletes an item that another program has stored, so that it can be stored again. An item that was changed since it
 * was looked at stays, except without meta commands.
 */
export async function dropForeign(
  client: MemcachedClient,
  key: string,
  options: { readonly groupKey?: string } = {},
): Promise<void> {
  try {
    const found = await client.meta.get(key, { value: false, ...options })
    if (found !== undefined) await client.meta.delete(key, { compareCas: found.casUnique, ...options })
  } catch (error) {
    if (!(error instanceof MemcacheUnsupportedError)) throw error
    await client.delete(key, options)
  }
}

/**
 * Deletes an item if it still has this cas unique, so that a lock that was acquired meanwhile stays.
 *
 * @param about `meanwhile`: without meta commands, the value of the item until it is deleted.
 */
export async function dropUnchanged(
  client: MemcachedClient,
  key: string,
  { casUnique, meanwhile }: { readonly casUnique: bigint; readonly meanwhile: string },
): Promise<void> {
  try {
    await client.meta.delete(key, { compareCas: casUnique })
  } catch (error) {
    if (!(error instanceof MemcacheUnsupportedError)) throw error
    if ((await client.cas(key, meanwhile, casUnique, 1)) === 'stored') await client.delete(key)
  }
}

/**
 * Deletes the item of a lock if another program has stored it: no process would release it, and it may never expire.
 * Resolves to whether there was such an item.
 *
 * @param isToken returns whether a value is that of a lock.
 */
export async function dropForeignLock(
  client: MemcachedClient,
  key: string,
  isToken: (value: unknown) => boolean,
): Promise<boolean> {
  try {
    const found = await client.gets(key)
    if (found === undefined || isToken(found.value)) return false
    await dropUnchanged(client, key, { casUnique: found.casUnique, meanwhile: '' })
  } catch (error) {
    if (!isForeign(error)) throw error
    await dropForeign(client, key)
  }
  return true
}
