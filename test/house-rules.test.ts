import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { chainOf, isNode, SyntaxTree } from './syntax-tree.ts'
import type { SyntaxNode } from './syntax-tree.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const MAX_COLUMNS = 120
const NOT_OURS = /^(node_modules|dist|compiled|site)$|^\./
const DIRECTIVE = /^\s*\/\/ (oxlint|@ts)-/

function sourcesIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return NOT_OURS.test(entry.name) ? [] : sourcesIn(path)
    return /\.[jt]s$/.test(entry.name) ? [path] : []
  })
}

const SOURCES = ['bench', 'build', 'conformance', 'examples', 'packages', 'test'].flatMap(sourcesIn)
const TESTS = SOURCES.filter(
  (file) => /(^|\/)test\/(?!fixtures).*\.ts$/.test(file) && !file.endsWith('house-rules.test.ts'),
)

/** The lines of files that match, as `file:line`. */
function found(files: readonly string[], matches: (line: string) => boolean): string[] {
  return files.flatMap((file) =>
    readFileSync(join(ROOT, file), 'utf8')
      .split('\n')
      .flatMap((line, index) => (matches(line) ? [`${file}:${index + 1}`] : [])),
  )
}

// The formatter wraps the comments of `/** … */`, and leaves those of `//` alone.
describe('comments that begin with //', () => {
  it(`end within ${MAX_COLUMNS} columns`, () => {
    expect(SOURCES).toContain('packages/kit/src/memcache.ts')
    const isTooLong = (line: string) => line.length > MAX_COLUMNS && /^\s*\/\//.test(line) && !DIRECTIVE.test(line)
    expect(found(SOURCES, isTooLong)).toEqual([])
  })
})

/** Patterns that fail on a busy machine although nothing is broken, and their replacements. */
const FLAKES: readonly [what: string, pattern: RegExp, instead: string][] = [
  [
    'take the first piece of a reply for the reply',
    /(?<!\.)\bonce\([^()]*(\([^()]*\))?[^()]*, '(data|readable|line)'\)/,
    'readUntil or readLine of memcache-ts-testing, which also fail when the stream ends',
  ],
  [
    'wait for a time',
    /\bawait delay\(|\bawait sleep\(|\bsetTimeout\((resolve|done)\b/,
    'until of memcache-ts-testing, an event, or a fake clock',
  ],
  [
    'give a condition a time limit of their own',
    /vi\.waitFor|vi\.waitUntil|poll\(.*\btimeout:/,
    'until or expect.poll, which only the limit of every test bounds',
  ],
  ['measure time', /(performance|Date)\.now\(\) - [a-z]/i, 'a fake clock, or count what was done'],
  [
    'leave the limit of calls to a running server at its default, half a second',
    /new MemcachedClient\((?!.*(timeoutMs|\.\.\.|freePort|127\.0\.0\.1:1\b))[^)]*(address|\$\{port\}|ports\b)/,
    'timeoutMs: 20_000',
  ],
  ['choose a port', /\.listen\([1-9]\d*\b/, 'port 0 or freePort of memcache-ts-testing'],
]

describe('tests', () => {
  it.each(FLAKES)('do not %s', (_, pattern, instead) => {
    expect(TESTS).toContain('packages/server/test/exchange.ts')
    expect(
      found(TESTS, (line) => pattern.test(line)),
      `instead: ${instead}`,
    ).toEqual([])
  })
})

/**
 * Words of other centuries or of this project alone, and docstrings that begin without a subject (CONTRIBUTING.md,
 * "Style").
 */
const RIDDLES = /\b(?:anew|whoever|whomever|milliard|undermost|one's own)\b/i
const BEGINS_WITHOUT_SUBJECT =
  /^\s*(?:\/\*\* |\/\*\*\n\s*\* )(?:Who|Whose|Whoever|What|Of|Under|That|Those|Has|None|Once more)\b/

describe('comments and messages', () => {
  const texts = SOURCES.filter((file) => !file.endsWith('house-rules.test.ts'))

  it('use words that every engineer knows', () => {
    expect(found(texts, (line) => RIDDLES.test(line))).toEqual([])
  })

  it('have a subject: a docstring does not begin with "What …", "Who …" or "Of …"', () => {
    const faults = texts.flatMap((file) => {
      const docstrings = readFileSync(join(ROOT, file), 'utf8').matchAll(/\/\*\*(?: |\n\s*\* )[^\n]*/g)
      return [...docstrings].map(([text]) => text).filter((text) => BEGINS_WITHOUT_SUBJECT.test(text))
    })
    expect(faults).toEqual([])
  })
})

describe('benchmarks', () => {
  it('wait for no message of a process without noticing its end: instead, ask and start of bench/child.js', () => {
    const benches = SOURCES.filter((file) => file.startsWith('bench/'))
    expect(benches).toContain('bench/child.js')
    expect(found(benches, (line) => /\bonce\(\w+, 'message'\)/.test(line))).toEqual([])
  })
})

const OURS = SOURCES.filter((file) => /^packages\/\w+\/src\/.*\.ts$/.test(file)).map((file) => new SyntaxTree(file))

/** The places of nodes that break a rule. */
function broken(trees: readonly SyntaxTree[], breaks: (node: SyntaxNode, tree: SyntaxTree) => boolean): string[] {
  return trees.flatMap((tree) => tree.nodes.filter((node) => breaks(node, tree)).map((node) => tree.placeOf(node)))
}

const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'])
/** The signatures of our client, and of the clients that `compat` stands in for. */
const DICTATED = /client\/src\/(?:memcached-client|compat\/(?:memcached|memjs))\.ts$/
/** A range of bytes is two or three parameters; an object for it would be allocated for each of many short reads. */
const POSITION = /^(?:at|start|end|keyStart|item)$/
/** Functions of the platform whose boolean is a value, or is named by the function. */
const TAKE_BOOLEANS = /^(?:resolve|includes|setNoDelay|setRawMode|[gs]etInt32|SetMetadata|shadow)$/

describe('parameters', () => {
  it('are three by position at most, except of functions that read or write bytes at a position', () => {
    const isTooLong = (node: SyntaxNode, tree: SyntaxTree): boolean => {
      const params = FUNCTIONS.has(node.type) ? (node['params'] as SyntaxNode[]) : []
      if (params.length <= 3 || DICTATED.test(tree.file) || tree.lineAbove(node).includes('max-params --')) return false
      return !params.some((param) => POSITION.test(/^\w*/.exec(tree.textOf(param))![0]))
    }
    expect(OURS.length).toBeGreaterThan(400)
    expect(broken(OURS, isTooLong)).toEqual([])
  })

  it('are no booleans beside others, except in functions of bytes and in checks of a condition', () => {
    const hasBoolean = (node: SyntaxNode, tree: SyntaxTree): boolean => {
      const params = FUNCTIONS.has(node.type) ? (node['params'] as SyntaxNode[]) : []
      const texts = params.map((param) => tree.textOf(param))
      if (params.length < 2 || texts.some((text) => POSITION.test(/^\w*/.exec(text)![0]))) return false
      return texts.some((text) =>
        /^(?!holds\b)\w+(?:\?|: boolean)(?:: boolean)?$|^\w+(?:: boolean)? = (?:true|false)$/.test(text),
      )
    }
    expect(broken(OURS, hasBoolean)).toEqual([])
  })

  it('are not true or false in a call without a name', () => {
    const isBare = (node: SyntaxNode): boolean => {
      if (node.type !== 'CallExpression' && node.type !== 'NewExpression') return false
      const hasBoolean = (node['arguments'] as SyntaxNode[]).some(({ value }) => typeof value === 'boolean')
      return hasBoolean && !TAKE_BOOLEANS.test(chainOf(node).at(-1)!)
    }
    expect(broken(OURS, isBare)).toEqual([])
  })
})

/** Returns the argument of `expect` at the beginning of a chain. */
function expectedOf(node: SyntaxNode): SyntaxNode | undefined {
  let at: unknown = node
  while (isNode(at)) {
    const callee = at['callee']
    if (isNode(callee) && callee['name'] === 'expect') return (at['arguments'] as SyntaxNode[])[0]
    at = callee ?? at['object']
  }
  return undefined
}

describe('assertions of tests', () => {
  const trees = [...TESTS, 'test/house-rules.test.ts'].map((file) => new SyntaxTree(file))

  it('can fail: they have a matcher, and compare something that is not written there, by more than "at least 0"', () => {
    const cannotFail = (node: SyntaxNode): boolean => {
      const expression = node.type === 'ExpressionStatement' ? node['expression'] : undefined
      const call = isNode(expression) && expression.type === 'AwaitExpression' ? expression['argument'] : expression
      if (!isNode(call) || chainOf(call)[0] !== 'expect') return false
      const [matched] = (call['arguments'] as SyntaxNode[] | undefined) ?? []
      const matcher = chainOf(call).at(-1)!
      const isCalled = call.type === 'CallExpression' && matcher !== 'expect'
      const isAtLeastNothing = matcher === 'toBeGreaterThanOrEqual' && matched?.['value'] === 0
      return !isCalled || isAtLeastNothing || expectedOf(call)?.type === 'Literal'
    }
    expect(broken(trees, cannotFail)).toEqual([])
  })

  it('are not within try, whose catch would get their errors', () => {
    const isWithinTry = (node: SyntaxNode, tree: SyntaxTree): boolean =>
      node.type === 'TryStatement' &&
      isNode(node['handler']) &&
      /\bexpect\(/.test(tree.textOf(node['block'] as SyntaxNode))
    expect(broken(trees, isWithinTry)).toEqual([])
  })

  it('are in each test, or in the functions that it calls', () => {
    const asserting = new Set(['expect', 'expectTypeOf', 'assert'])
    const asserts = (text: string): boolean => text.match(/\w+/g)?.some((word) => asserting.has(word)) === true
    const helpers = trees.flatMap((tree) =>
      tree.nodes.flatMap((node) => {
        const body = node.type === 'VariableDeclarator' ? node['init'] : node['body']
        const isFunction = isNode(body) && (FUNCTIONS.has(body.type) || FUNCTIONS.has(node.type))
        return isFunction && isNode(node['id']) ? [{ name: String(node['id']['name']), text: tree.textOf(body) }] : []
      }),
    )
    // A helper may call another one, which asserts.
    for (let round = 0; round < 3; round++)
      for (const { name, text } of helpers) if (!asserting.has(name) && asserts(text)) asserting.add(name)
    const hasNone = (node: SyntaxNode, tree: SyntaxTree): boolean => {
      if (node.type !== 'CallExpression' || chainOf(node)[0] !== 'it') return false
      const body = (node['arguments'] as SyntaxNode[]).find(({ type }) => FUNCTIONS.has(type))
      return body !== undefined && !asserts(tree.textOf(body))
    }
    expect(broken(trees, hasNone)).toEqual([])
  })
})
