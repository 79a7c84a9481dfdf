import { lateTags } from '../engine/load/get-or-set-options.ts'
import type { Loader } from '../engine/load/get-or-set-options.ts'

/** Tags of a value: a fixed list, or a function of the arguments. */
export type TagsOf<Args extends readonly unknown[]> = readonly string[] | ((...args: Args) => readonly string[])

/** Returns the tags for these arguments, as `oneTagOrMany` makes them. */
export function tagsFor<Args extends readonly unknown[]>(
  tags: TagsOf<Args> | undefined,
  args: Args,
): readonly string[] | undefined {
  return typeof tags === 'function' ? oneTagOrMany(tags(...args)) : tags
}

/**
 * What a function of tags has returned: a text is one tag, as it is for `setTags`. Anything else is checked where it is
 * used.
 */
export function oneTagOrMany(returned: unknown): readonly string[] | undefined {
  if (returned === null) return undefined
  return (typeof returned === 'string' ? [returned] : returned) as readonly string[] | undefined
}

/**
 * The loader and the tags of a call whose tags a function has made. If they cannot be used, the value is loaded and not
 * stored, and the log says why: a value is not kept from its caller because of its tags.
 */
export function taggedLoad<Value>(
  tags: readonly string[] | undefined,
  load: Loader<Value>,
): { readonly load: Loader<Value>; readonly tags: readonly string[] | undefined } {
  if (tags === undefined) return { load, tags }
  const { tags: usable, fault } = lateTags(tags)
  if (fault === undefined) return { load, tags: usable }
  const refusing: Loader<Value> = (context) => {
    context.setTags(tags)
    return load(context)
  }
  return { load: refusing, tags: [] }
}
