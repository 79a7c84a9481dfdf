import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAst } from 'rolldown/parseAst'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** A node of a syntax tree (ESTree, with TypeScript's nodes); its other properties are nodes, lists and values. */
export interface SyntaxNode {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [property: string]: unknown
}

/** A source file of the repository, parsed. */
export class SyntaxTree {
  readonly file: string
  readonly text: string
  /** All nodes, each before the nodes within it. */
  readonly nodes: readonly SyntaxNode[]

  constructor(file: string) {
    this.file = file
    this.text = readFileSync(join(ROOT, file), 'utf8')
    const nodes: SyntaxNode[] = []
    collect(parseAst(this.text, { lang: 'ts' }, file), nodes)
    this.nodes = nodes
  }

  /** Returns the text of a node. */
  textOf({ start, end }: SyntaxNode): string {
    return this.text.slice(start, end)
  }

  /** Returns the place of a node as `file:line`, with the beginning of its text. */
  placeOf(node: SyntaxNode): string {
    const line = this.text.slice(0, node.start).split('\n').length
    return `${this.file}:${line} ${this.textOf(node).replaceAll(/\s+/g, ' ').slice(0, 80)}`
  }

  /** Returns the line above a node. */
  lineAbove({ start }: SyntaxNode): string {
    return this.text.slice(0, start).split('\n').at(-2) ?? ''
  }
}

function collect(value: unknown, into: SyntaxNode[]): void {
  if (Array.isArray(value)) for (const item of value) collect(item, into)
  if (!isNode(value)) return
  into.push(value)
  for (const property of Object.values(value)) if (typeof property === 'object') collect(property, into)
}

export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
}

/** Returns the names of a chain of properties and calls: `expect(a).not.toBe(b)` has `expect`, `not` and `toBe`. */
export function chainOf(node: unknown): string[] {
  if (!isNode(node)) return []
  if (node.type === 'CallExpression' || node.type === 'NewExpression') return chainOf(node['callee'])
  if (node.type === 'MemberExpression') return [...chainOf(node['object']), nameOf(node['property'])]
  return [nameOf(node)]
}

function nameOf(node: unknown): string {
  return isNode(node) && typeof node['name'] === 'string' ? node['name'] : ''
}
