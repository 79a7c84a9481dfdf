import { IncomingMessage, ServerResponse } from 'node:http'

/** Since the version of Node 24, V8 shares the hidden classes of objects whose prototype was changed. */
const KEEPS_SHAPES = Number(process.versions.node.split('.', 1)[0]) >= 24

/**
 * Makes a request of Express and its response cheap to work with. Express changes the prototype of both, and before
 * Node 24, V8 creates a new hidden class for every property that such an object gets afterwards, so later accesses miss
 * their inline caches. Objects in dictionary mode share one hidden class; deleting a property brings an object into
 * this mode (decision 0030 has the figures).
 */
export function shareShapes(request: object, response: object): void {
  if (KEEPS_SHAPES) return
  if (hasChangedPrototype(request, IncomingMessage)) useDictionary(request)
  if (hasChangedPrototype(response, ServerResponse)) useDictionary(response)
}

/**
 * Returns whether the prototype of an object was changed after its creation: its constructor has another prototype.
 * Objects of subclasses keep their hidden classes.
 */
function hasChangedPrototype(object: object, base: Function): boolean {
  return object.constructor === base && Object.getPrototypeOf(object) !== base.prototype
}

/** Deletes a property that each emitter has and that is also `undefined` in its prototype. */
function useDictionary(emitter: { _maxListeners?: unknown }): void {
  if (emitter._maxListeners === undefined) delete emitter._maxListeners
}
