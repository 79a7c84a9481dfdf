/** Every command of the text and meta protocols, as the number that a parsed `Request` carries. */
export const Command = {
  unknown: 0,
  get: 1,
  gets: 2,
  gat: 3,
  gats: 4,
  set: 5,
  add: 6,
  replace: 7,
  append: 8,
  prepend: 9,
  cas: 10,
  delete: 11,
  incr: 12,
  decr: 13,
  touch: 14,
  metaGet: 15,
  metaSet: 16,
  metaDelete: 17,
  metaArithmetic: 18,
  metaDebug: 19,
  metaNoop: 20,
  /** All other commands, from `version` to `lru_crawler`: they are rare, and parsed as words. */
  admin: 21,
} as const

export type Command = (typeof Command)[keyof typeof Command]
