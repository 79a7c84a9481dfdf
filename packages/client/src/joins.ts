import type { RetrievalRequest } from './operations/retrieval-operation.ts'
import type { ItemResponse } from './operations/item-response.ts'
import {
  ClientFlags,
  kindOf,
  MemcacheOptionError,
  MemcacheTooLargeError,
  MemcacheUnsupportedError,
  Uint64,
} from 'memcache-ts-protocol'
import { CallDeadline } from './call-deadline.ts'
import type { StepOptions } from './call-deadline.ts'
import { isBytes } from './client-key.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { WireKey } from './client-key.ts'
import { readValue } from './operations/operation.ts'
import { RetrievalOperation } from './operations/retrieval-operation.ts'
import { StoreOperation } from './operations/write-operations.ts'
import type { StoreConditions, StoreRequest, StoreStatus } from './operations/write-operations.ts'
import type { ChunkedValues } from './values/chunked-values.ts'
import { messageOf } from './errors.ts'
import { BYTES, LENT } from './values/value-codec.ts'

/** The lifetime of a restored value: the classic text protocol does not report the original one. */
const RESTORED_SECONDS = 60

/** A request to join bytes to a stored value. */
export interface Join {
  readonly wireKey: WireKey
  /** The key, for errors. */
  readonly name: string
  readonly mode: 'append' | 'prepend'
  readonly fragment: Buffer | string
  readonly conditions: StoreConditions
}

/** The parameters with which `Joins` stores under the key of a join. */
type JoinStore = Omit<StoreRequest<Joined>, 'wireKey' | 'name' | 'build'>

/** The metadata of the stored value. */
interface Base {
  readonly casUnique: Uint64
  readonly clientFlags: number
  /** Whether it is an unfilled lease, if the server reports it. */
  readonly isUnfilled: boolean
  /** The bytes, if they had to be read. */
  readonly bytes: Buffer | undefined
}

/** The result of a join, and the item's new cas unique, which is zero if the server does not report it. */
export interface Joined {
  readonly status: StoreStatus
  readonly casUnique: Uint64
}

const ZERO = new Uint64()

/**
 * The steps of append and prepend. Bytes can be joined only to text and bytes: they would destroy a compressed, chunked
 * or typed value. Therefore the stored value's client flags are read first, and its cas unique is compared when the
 * bytes are joined.
 */
export class Joins {
  readonly #dispatcher: Dispatcher
  readonly #values: ChunkedValues
  readonly #timeoutMs: number

  constructor(dispatcher: Dispatcher, values: ChunkedValues, timeoutMs: number) {
    this.#dispatcher = dispatcher
    this.#values = values
    this.#timeoutMs = timeoutMs
  }

  /**
   * Joins bytes to a stored value. Must be called while no other call on the key is under way.
   *
   * @throws MemcacheOptionError if the stored value is not plain text or bytes; it stays.
   * @throws MemcacheTooLargeError if the joined value would be over the server's item limit; the stored value stays.
   */
  async join(join: Join, options: StepOptions): Promise<Joined> {
    const { conditions, mode, name } = join
    const { compareCas } = conditions
    for (;;) {
      const base = await this.#base(join, options)
      // An unfilled lease is a miss for this call, too.
      if (base === undefined || (base.isUnfilled && conditions.vivifyExptime === undefined)) {
        if (conditions.vivifyExptime === undefined) {
          return { status: compareCas === undefined ? 'notStored' : 'notFound', casUnique: ZERO }
        }
        const made = await this.#vivify(join, conditions.vivifyExptime, options)
        if (made.status !== 'notStored') return made
        continue
      }
      if (compareCas !== undefined && !base.casUnique.equals(compareCas) && conditions.invalidate !== true) {
        return { status: 'exists', casUnique: ZERO }
      }
      if (!this.#values.isPlain(base.clientFlags)) throw notPlain(name, mode)
      const joined = await this.#joinTo(base, join, options)
      if (joined.status === 'notStored') {
        // Servers respond so for a missing item, and for a joined value that is too large.
        const left = await this.#base(join, options)
        if (left !== undefined && !left.isUnfilled) throw tooLarge(name, mode)
      }
      // Another client has changed the value: the new one may be of another kind.
      if (joined.status !== 'exists' || compareCas !== undefined) return joined
      options.deadline?.check()
    }
  }

  async #joinTo(base: Base, join: Join, options: StepOptions): Promise<Joined> {
    const { conditions, mode } = join
    // A server with -C has no cas uniques to compare.
    const compareCas = conditions.compareCas ?? (base.casUnique.isZero ? undefined : base.casUnique)
    const { vivifyExptime: _, ...rest } = conditions
    // Client flags and lifetime of the stored value are kept.
    const joining = { mode, bytes: join.fragment, clientFlags: 0, exptime: 0 } as const
    try {
      return await this.#store(join, { ...joining, conditions: { ...rest, compareCas } }, options)
    } catch (error) {
      if (!(error instanceof MemcacheUnsupportedError) || conditions.compareCas !== undefined) throw error
    }
    const joined = await this.#store(join, { ...joining, conditions: rest }, options)
    const isJoined = joined.status !== 'stored' || (await this.#restore(join, options))
    return isJoined ? joined : { status: 'notStored', casUnique: ZERO }
  }

  /**
   * Restores a lease or a value of another kind that was stored in between, since the classic text protocol cannot
   * compare when it joins. Its lifetime is not known, so it gets a short one.
   *
   * @returns whether the bytes were joined to a value, and not to a lease.
   */
  async #restore(join: Join, { server, groupKey }: StepOptions): Promise<boolean> {
    const deadline = CallDeadline.fromNow(this.#timeoutMs)
    const options = { server, groupKey, deadline }
    const base = await this.#base(join, options)
    if (base?.bytes === undefined) return true
    if (this.#values.isPlain(base.clientFlags)) return !(await this.#emptyLease(base, join, options))
    const { bytes, clientFlags, casUnique: compareCas } = base
    const length = Buffer.byteLength(join.fragment)
    const before = join.mode === 'append' ? bytes.subarray(0, bytes.length - length) : bytes.subarray(length)
    // It may have been stored after the bytes were joined, too.
    if (this.#isReadable(bytes, clientFlags) || !this.#isReadable(before, clientFlags)) return true
    const restored = { mode: 'set', bytes: before, clientFlags, exptime: RESTORED_SECONDS } as const
    await this.#store(join, { ...restored, conditions: { compareCas } }, options)
    throw notPlain(join.name, join.mode)
  }

  /** Empties a lease to which bytes were joined; returns whether it was a lease. */
  async #emptyLease({ bytes, clientFlags, casUnique }: Base, join: Join, options: StepOptions): Promise<boolean> {
    const isAlone = clientFlags === ClientFlags.bytes && bytes!.length === Buffer.byteLength(join.fragment)
    if (!isAlone || !this.#values.takesEmptyForLease) return false
    const emptied = { mode: 'set', bytes: '', clientFlags: ClientFlags.bytes, exptime: RESTORED_SECONDS } as const
    await this.#store(join, { ...emptied, conditions: { compareCas: casUnique } }, options)
    return true
  }

  #isReadable(bytes: Buffer, clientFlags: number): boolean {
    try {
      readValue(this.#values, bytes, 0, bytes.length, clientFlags, LENT)
      return true
    } catch {
      return false
    }
  }

  #vivify(join: Join, exptime: number, options: StepOptions): Promise<Joined> {
    const { newCas, returnCas = false } = join.conditions
    const clientFlags = this.#values.plainFlags(join.fragment)
    const made = { mode: 'add', bytes: join.fragment, clientFlags, exptime } as const
    return this.#store(join, { ...made, conditions: { newCas, returnCas } }, options)
  }

  /** Returns the metadata of the stored value; `undefined` if there is none. */
  async #base(join: Join, options: StepOptions): Promise<Base | undefined> {
    try {
      return await this.#retrieve(join, { value: false, casUnique: true, details: true }, options)
    } catch (error) {
      if (!(error instanceof MemcacheUnsupportedError)) throw error
      // Without meta commands, the client flags are only available with the value.
      return this.#retrieve(join, { value: true, casUnique: true }, options)
    }
  }

  #retrieve({ wireKey, name }: Join, request: RetrievalRequest, options: StepOptions): Promise<Base | undefined> {
    return new Promise((resolve, reject) => {
      const build = (item: ItemResponse, value: unknown): Base | undefined => this.#baseOf(item, value)
      const operation = new RetrievalOperation({ wireKey, name, request, reader: BYTES, build }, resolve, reject)
      this.#dispatcher.send(operation, wireKey, options)
    })
  }

  #baseOf(item: ItemResponse, value: unknown): Base | undefined {
    if (!item.isFound) return undefined
    const { clientFlags, size, won, lost } = item
    const bytes = value as Buffer | undefined
    // The request with the value has no details that identify a lease.
    const isLease = bytes === undefined ? won || lost : bytes.length === 0 && this.#values.takesEmptyForLease
    const isUnfilled = size === 0 && clientFlags === ClientFlags.bytes && isLease
    return { casUnique: copyOf(item.casUnique), clientFlags, isUnfilled, bytes }
  }

  #store(join: Join, store: JoinStore, options: StepOptions): Promise<Joined> {
    const { wireKey, name } = join
    return new Promise((resolve, reject) => {
      const operation = new StoreOperation({ ...store, wireKey, name, build: joinedOf }, resolve, reject)
      this.#dispatcher.send(operation, wireKey, options)
    })
  }
}

/**
 * Returns the bytes of a fragment for `append` or `prepend`.
 *
 * @throws MemcacheOptionError if it is neither text nor bytes.
 */
export function fragmentOf(mode: 'append' | 'prepend', value: unknown): Buffer | string {
  if (isBytes(value)) return copyOfBytes(mode, value)
  if (typeof value !== 'string') {
    throw new MemcacheOptionError(
      `${mode} joins text or bytes, got ${kindOf(value)}: convert it with String(…) or Buffer.from(…)`,
    )
  }
  if (value.isWellFormed()) return value
  throw new MemcacheOptionError(`${mode} joins text as UTF-8, which cannot hold half a character: join its bytes`)
}

/** Returns a copy, since the caller may continue to write to its bytes. */
function copyOfBytes(mode: 'append' | 'prepend', value: Uint8Array): Buffer {
  try {
    return Buffer.from(value)
  } catch (cause) {
    throw new MemcacheOptionError(`${mode} cannot read the bytes that it was given: ${messageOf(cause)}`, { cause })
  }
}

function notPlain(key: string, mode: 'append' | 'prepend'): MemcacheOptionError {
  const to = mode === 'append' ? 'to' : 'before'
  return new MemcacheOptionError(
    `${key}: bytes cannot be joined ${to} a stored value that is not plain text or bytes (it is compressed, in chunks, JSON or typed): read it with gets and store the joined value with cas`,
    { key },
  )
}

function tooLarge(key: string, mode: 'append' | 'prepend'): MemcacheTooLargeError {
  return new MemcacheTooLargeError(
    `${key}: the server cannot store the value that ${mode} would make, and keeps the stored one: raise its item limit (-I), or continue with another key`,
    { key },
  )
}

function joinedOf(status: StoreStatus, casUnique: Uint64): Joined {
  return { status, casUnique: copyOf(casUnique) }
}

function copyOf(number: Uint64): Uint64 {
  const copy = new Uint64()
  copy.copy(number)
  return copy
}
