import Table from 'cli-table3'
import type { Terminal } from './terminal.ts'

export interface Column {
  readonly title: string
  /** Numbers are aligned to the right. Default left. */
  readonly align?: 'left' | 'right'
}

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
}

/** Returns a table without lines. */
export function tableText(
  terminal: Terminal,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string {
  const table = new Table({
    head: columns.map(({ title }) => terminal.styled('dim', title)),
    chars: NO_LINES,
    colAligns: columns.map(({ align = 'left' }) => align),
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
  })
  for (const row of rows) table.push([...row])
  return table.toString().replaceAll(/ +$/gm, '')
}
