import { PassThrough } from 'node:stream'
import { runCommandLine } from '../../src/cli/command-line.ts'
import { Terminal } from '../../src/cli/terminal.ts'
import type { InputStream, OutputStream } from '../../src/cli/terminal.ts'

export interface Ran {
  readonly status: number
  readonly output: string
  readonly errors: string
  /** The output as JSON, a value a line. */
  readonly json: unknown[]
}

/** Runs a command line in this process, without a terminal. */
export async function runCommand(args: readonly string[], input = '', env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const output = new PassThrough()
  const errors = new PassThrough()
  const stdin = new PassThrough()
  stdin.end(input)
  const terminal = new Terminal({
    output: output as OutputStream,
    errors: errors as OutputStream,
    input: stdin as InputStream,
    env,
  })
  const status = await runCommandLine(args, terminal)
  const text = read(output)
  return {
    status,
    output: text,
    errors: read(errors),
    get json() {
      return text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown)
    },
  }
}

function read(stream: PassThrough): string {
  return ((stream.read() as Buffer | null) ?? Buffer.alloc(0)).toString('utf8')
}
