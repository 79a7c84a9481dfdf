/** The cache of a module, whatever its name is. */
export const MODULE_MEMCACHE = Symbol('the cache of this MemcacheModule')

/** The name of a module's cache. */
export const MODULE_NAME = Symbol('the name of this MemcacheModule')

/** The options of a module. */
export const MODULE_OPTIONS = Symbol('the options of this MemcacheModule')
