import { IncomingMessage, ServerResponse } from 'node:http'

/** V8 keeps the shapes of objects whose prototype was changed since the version of Node 24. */
const KEEPS_SHAPES = Number(process.versions.node.split('.', 1)[0]) >= 24

/**
 * Makes a request of Express and its response cheap to work with. Express gives each of them another prototype, and
 * until Node 24 V8 makes a hidden class for every property that such an object gets afterwards, for this object alone:
 * no later access to it finds an inline cache. An object in dictionary mode shares one shape with all others of its
 * kind; deleting a property brings it into that mode (decision 0030 has the figures).
 */
export function shareShapes(request: object, response: object): void {
  if (KEEPS_SHAPES) return
  if (hasChangedPrototype(request, IncomingMessage)) useDictionary(request)
  if (hasChangedPrototype(response, ServerResponse)) useDictionary(response)
}

/**
 * Whether an object was given its prototype after it was made: its constructor has another one. Subclasses keep their
 * shapes.
 */
function hasChangedPrototype(object: object, base: Function): boolean {
  return object.constructor === base && Object.getPrototypeOf(object) !== base.prototype
}

/** Deletes a property that each emitter has, and which is `undefined` in its prototype too. */
function useDictionary(emitter: { _maxListeners?: unknown }): void {
  if (emitter._maxListeners === undefined) delete emitter._maxListeners
}
