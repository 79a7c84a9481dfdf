import { requireTagList } from '../option-types.ts'

/** Tags of a value: a fixed list, or a function of the arguments. */
export type TagsOf<Args extends readonly unknown[]> = readonly string[] | ((...args: Args) => readonly string[])

/** Returns the tags for these arguments. @throws MemcacheOptionError if a function does not return a list of tags. */
export function tagsFor<Args extends readonly unknown[]>(
  tags: TagsOf<Args> | undefined,
  args: Args,
): readonly string[] | undefined {
  return typeof tags === 'function' ? requireTagList('tags', tags(...args)) : tags
}
