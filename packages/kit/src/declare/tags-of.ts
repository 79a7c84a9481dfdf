import { requireTagList } from '../option-types.ts'

/** Tags: the same for all, or by what a value is asked for by. */
export type TagsOf<Args extends readonly unknown[]> = readonly string[] | ((...args: Args) => readonly string[])

/** The tags for these arguments. @throws MemcacheOptionError if a function returns no list of tags. */
export function tagsFor<Args extends readonly unknown[]>(
  tags: TagsOf<Args> | undefined,
  args: Args,
): readonly string[] | undefined {
  return typeof tags === 'function' ? requireTagList('tags', tags(...args)) : tags
}
