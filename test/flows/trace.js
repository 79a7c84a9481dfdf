import { Session } from 'node:inspector/promises'

/**
 * The source files of this repository whose functions run during a call, in the order of the alphabet. Functions that
 * the call before has run already count again; what runs at import does not.
 */
export async function filesOf(call) {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  await session.post('Profiler.takePreciseCoverage')
  await call()
  const { result } = await session.post('Profiler.takePreciseCoverage')
  await session.post('Profiler.stopPreciseCoverage')
  session.disconnect()
  const files = result
    .filter(({ functions }) => functions.some(({ ranges: [{ count }] }) => count > 0))
    .map(({ url }) => /\/(packages\/[\w-]+)\/compiled\/(.*)\.js$/.exec(url))
    // An index only hands on what other files export.
    .filter((found) => found !== null && found[2] !== 'index')
  return files.map(([, of, file]) => `${of}/src/${file}.ts`).toSorted()
}
