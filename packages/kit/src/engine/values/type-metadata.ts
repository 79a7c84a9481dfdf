import { createRequire } from 'node:module'
import { join } from 'node:path'

/** The metadata of class-transformer's `@Type` for a property. */
interface TypeMetadata {
  readonly typeFunction?: ((help: { newObject: object; object: object; property: string }) => Function) | undefined
  readonly options?: {
    readonly discriminator?: {
      readonly property: string
      readonly subTypes: readonly { readonly value: Function; readonly name: string }[]
    }
  }
}

/** The part of class-transformer's metadata storage that is used here. */
export interface TypeMetadataStorage {
  findTypeMetadata(target: Function, property: string): TypeMetadata | undefined
  /** The rules of `@Exclude`, `@Expose` and `@Transform`, by class. */
  readonly _excludeMetadatas?: ReadonlyMap<Function, unknown>
  readonly _exposeMetadatas?: ReadonlyMap<Function, unknown>
  readonly _transformMetadatas?: ReadonlyMap<Function, unknown>
}

let loading: Promise<TypeMetadataStorage | undefined> | undefined

/** Returns the metadata of class-transformer's decorators; `undefined` if it is not installed. */
export function typeMetadataStorage(): Promise<TypeMetadataStorage | undefined> {
  return (loading ??= load())
}

async function load(): Promise<TypeMetadataStorage | undefined> {
  // The names are not literals, since class-transformer is an optional peer and does not declare its storage.
  const name: string = 'class-transformer/cjs/storage.js'
  // jest's contexts have no import(), but their own require.
  const ways = [() => import(name), () => createRequire(join(process.cwd(), 'package.json'))(name)]
  for (const way of ways) {
    try {
      const { defaultMetadataStorage } = (await way()) as { defaultMetadataStorage: TypeMetadataStorage }
      return defaultMetadataStorage
    } catch {
      // It is not installed, or cannot be loaded this way.
    }
  }
  return undefined
}

/** A property of a class, and its value in an object. */
interface PropertyValue {
  readonly owner: Function
  readonly property: string
  readonly value: object
}

/** Returns the class of a property's value by `@Type` and its discriminator; `undefined` if there is none. */
export function nestedTypeOf(
  storage: TypeMetadataStorage,
  { owner, property, value }: PropertyValue,
): Function | undefined {
  const metadata = storage.findTypeMetadata(owner, property)
  if (metadata === undefined) return undefined
  const { discriminator } = metadata.options ?? {}
  if (discriminator !== undefined) {
    const name = (value as Record<string, unknown>)[discriminator.property]
    const subType = discriminator.subTypes.find((candidate) => candidate.name === name)
    if (subType !== undefined) return subType.value
  }
  return metadata.typeFunction?.({ newObject: {}, object: value, property })
}

/**
 * Returns whether class-transformer serializes instances of a class otherwise than plain objects with the same
 * properties, by rules of the class itself or of one that it extends.
 *
 * @param until a class that it extends, whose rules do not count.
 */
export function hasSerializerRules(storage: TypeMetadataStorage, type: Function, until?: Function): boolean {
  const { _excludeMetadatas: exclude, _exposeMetadatas: expose, _transformMetadatas: transform } = storage
  const rules = [exclude, expose, transform]
  for (let at: unknown = type; typeof at === 'function' && at !== until; at = Object.getPrototypeOf(at)) {
    const level = at
    if (rules.some((byClass) => byClass === undefined || byClass.has(level))) return true
  }
  return false
}
