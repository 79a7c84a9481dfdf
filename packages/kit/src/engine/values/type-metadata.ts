import { createRequire } from 'node:module'
import { join } from 'node:path'

/** What class-transformer's `@Type` says of a property. */
interface TypeMetadata {
  readonly typeFunction?: ((help: { newObject: object; object: object; property: string }) => Function) | undefined
  readonly options?: {
    readonly discriminator?: {
      readonly property: string
      readonly subTypes: readonly { readonly value: Function; readonly name: string }[]
    }
  }
}

/** Where class-transformer keeps what its decorators say, as far as it is needed here. */
export interface TypeMetadataStorage {
  findTypeMetadata(target: Function, property: string): TypeMetadata | undefined
}

let loading: Promise<TypeMetadataStorage | undefined> | undefined

/** The metadata of class-transformer's decorators; `undefined` where it is not installed. */
export function typeMetadataStorage(): Promise<TypeMetadataStorage | undefined> {
  return (loading ??= load())
}

async function load(): Promise<TypeMetadataStorage | undefined> {
  // Not literals: class-transformer is an optional peer, and its storage is in none of its declarations.
  const name: string = 'class-transformer/cjs/storage.js'
  // jest's contexts have no import(), but a require of their own.
  const ways = [() => import(name), () => createRequire(join(process.cwd(), 'package.json'))(name)]
  for (const way of ways) {
    try {
      const { defaultMetadataStorage } = (await way()) as { defaultMetadataStorage: TypeMetadataStorage }
      return defaultMetadataStorage
    } catch {
      // It is not there, or not by this way.
    }
  }
  return undefined
}

/** The class of a property's value, by `@Type` and its discriminator; `undefined` where there is none. */
export function nestedTypeOf(
  storage: TypeMetadataStorage,
  owner: Function,
  property: string,
  value: object,
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
