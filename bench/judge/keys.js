import { spawn } from 'node:child_process'
import { once } from 'node:events'

const PAIRS = 1_000_000

export const description =
  'keys of arguments and texts are equal exactly where the values are, over 10⁶ random pairs a property'

/** Runs the properties of the kit's own suite, from source, with more pairs than the suite has time for. */
export async function run() {
  const suite = spawn('npx', ['vitest', 'run', 'packages/kit/test/argument-key.test.ts'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, KEY_RUNS: String(PAIRS) },
  })
  const [status] = await once(suite, 'exit')
  return {
    reached: status === 0,
    figure: `${PAIRS} pairs, ${status === 0 ? 'no' : 'some'} key that stands for two values`,
  }
}
