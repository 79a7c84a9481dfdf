import { AsyncLocalStorage } from 'node:async_hooks'

/** A load that is under way, and the loads that its loader waits for. */
export interface LoadNode {
  /** The loads that it waits for, and how many of its calls wait for each. */
  readonly waitsFor: Map<LoadNode, number>
  /** The load whose loader has begun this one; `undefined` if no loader has. */
  readonly parent: LoadNode | undefined
  /** What it loads, and in which cache. */
  readonly keys: readonly string[]
  /** Whether it was let through, since it would have waited for itself. */
  readonly isAlone: boolean
  readonly owner: object
}

/** The load whose loader is running, in the asynchronous context of that loader. */
const running = new AsyncLocalStorage<LoadNode>()
/** The context in which this module was loaded: no request's. */
const runOutside = AsyncLocalStorage.snapshot()

/** A load that begins now. */
export function loadNode(keys: readonly string[], owner: object, isAlone = false): LoadNode {
  return { waitsFor: new Map(), parent: running.getStore(), keys, owner, isAlone }
}

/** Runs a loader, so that what it asks for is known to be asked by it. */
export function runAsLoad<Result>(node: LoadNode, load: () => Result): Result {
  return running.run(node, load)
}

/** Runs work that is nobody's request: a loader in the background sees nothing of the request that has started it. */
export function runInBackground<Result>(work: () => Result): Result {
  return runOutside(work)
}

/** Whether the loader that is running would wait for itself if it waited for a load: directly, or through the loaders that this one waits for. */
export function wouldWaitForItself(node: LoadNode): boolean {
  const asking = running.getStore()
  if (asking === undefined) return false
  const seen = new Set<LoadNode>()
  const open = [node]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    // A load waits for those that its loader has begun, and its loader for what it has asked.
    if (isWithin(asking, next)) return true
    if (seen.has(next)) continue
    seen.add(next)
    open.push(...next.waitsFor.keys())
  }
  return false
}

/** Whether the loader that is running, or one that has begun it, loads a key. */
export function isLoading(key: string, owner: object): boolean {
  for (let node = running.getStore(); node !== undefined; node = node.parent) {
    if (node.owner === owner && node.keys.includes(key)) return true
  }
  return false
}

/** Whether the loader that is running, or one that has begun it, is a run of the same key that was let through already. */
export function isRepeated(key: string, owner: object): boolean {
  for (let node = running.getStore(); node !== undefined; node = node.parent) {
    if (node.isAlone && node.owner === owner && node.keys.includes(key)) return true
  }
  return false
}

/** Remembers, while a promise is pending, that the loader that is running waits for a load. */
export function whileWaiting<Result>(node: LoadNode, promise: Promise<Result>): Promise<Result> {
  const asking = running.getStore()
  if (asking === undefined) return promise
  asking.waitsFor.set(node, (asking.waitsFor.get(node) ?? 0) + 1)
  return promise.finally(() => {
    const left = asking.waitsFor.get(node)! - 1
    if (left === 0) asking.waitsFor.delete(node)
    else asking.waitsFor.set(node, left)
  })
}

function isWithin(node: LoadNode, outer: LoadNode): boolean {
  for (let within: LoadNode | undefined = node; within !== undefined; within = within.parent)
    if (within === outer) return true
  return false
}
