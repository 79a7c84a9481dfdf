import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Runs a program of another language with a server's port and reads the JSON that it prints. */
export async function runForeign(command: readonly string[], program: string, port: number): Promise<unknown> {
  const [file, ...args] = command
  const { stdout } = await run(file!, [...args, program, String(port)])
  return JSON.parse(stdout)
}
