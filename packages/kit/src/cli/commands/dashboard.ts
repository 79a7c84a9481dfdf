import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { CommandContext } from '../context.ts'
import { CommandError, ExitStatus } from '../terminal.ts'

export interface DashboardCommandOptions {
  listen: string
  tokenFile?: string | undefined
}

/** `memcache-ts dashboard`: serves the dashboard of the list until it is interrupted. */
export async function dashboardCommand(
  context: CommandContext,
  { listen, tokenFile }: DashboardCommandOptions,
): Promise<ExitStatus> {
  const { terminal, client } = context
  const { listenForDashboard, readDashboardAddress } = await import('memcache-ts-server/dashboard')
  const { serversOf } = await import('../../dashboard/client-server.ts')
  const token = tokenFile === undefined ? terminal.env['MEMCACHE_DASHBOARD_TOKEN'] : readToken(tokenFile)
  await using dashboard = await listenForDashboard({
    ...readDashboardAddress(listen),
    token: token === '' ? undefined : token,
    servers: serversOf([client]),
  })
  terminal.line(context.json ? JSON.stringify({ url: dashboard.url }) : `dashboard on ${dashboard.url}`)
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  return ExitStatus.ok
}

function readToken(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new CommandError(`${path} cannot be read: ${(error as Error).message}`)
  }
}
