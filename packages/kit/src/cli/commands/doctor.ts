import type { CommandContext } from '../context.ts'
import { CLUSTER_CHECKS } from '../doctor/cluster-checks.ts'
import { examine } from '../doctor/examine.ts'
import type { Finding, FindingLevel } from '../doctor/finding.ts'
import { SERVER_CHECKS } from '../doctor/server-checks.ts'
import { ExitStatus, printable } from '../terminal.ts'
import type { Style } from '../terminal.ts'

export interface DoctorOptions {
  sample: number
  watchSeconds: number
  slowMs: number
}

const MARKS: Readonly<Record<FindingLevel, readonly [mark: string, style: Style]>> = {
  ok: ['✓', 'green'],
  note: ['·', 'cyan'],
  warning: ['!', 'yellow'],
  fault: ['✗', 'red'],
}

const AWAY = {
  text: 'does not respond',
  advice: 'start it, or check the address, the firewall, TLS and credentials',
}
/** A server that has responded to `ping`. */
const UNCHECKED = {
  text: 'cannot be checked',
  advice: 'if it is a proxy without statistics, such as twemproxy, check the servers behind it by their own addresses',
}

/** `memcache-ts doctor`: checks running servers, and prints what to change. It only reads. */
export async function doctor(
  context: CommandContext,
  options: DoctorOptions & { prefix: string },
): Promise<ExitStatus> {
  const { terminal, json } = context
  const pings = await context.ping()
  const alive = pings.filter(({ fault }) => fault === undefined).map(({ name }) => name)
  const findings = pings.flatMap(({ name, fault }): Finding[] =>
    fault === undefined ? [] : [responseFinding(name, fault, AWAY)],
  )
  if (alive.length > 0) {
    const examination = await examine(context, alive, { ...options, complete: alive.length === pings.length })
    for (const { name, fault } of examination.failed) findings.push(responseFinding(name, fault, UNCHECKED))
    for (const server of examination.servers) {
      for (const [check, run] of Object.entries(SERVER_CHECKS))
        findings.push({ check, server: server.name, ...run(server) })
    }
    if (pings.length > 1) {
      for (const [check, run] of Object.entries(CLUSTER_CHECKS)) findings.push({ check, ...run(examination) })
    }
  }
  if (json) for (const finding of findings) terminal.json(finding)
  else write(context, findings)
  if (alive.length === 0) return ExitStatus.unreachable
  return findings.some(({ level }) => level === 'warning' || level === 'fault') ? ExitStatus.incomplete : ExitStatus.ok
}

function responseFinding(server: string, { message }: Error, { text, advice }: typeof AWAY): Finding {
  return { check: 'responds', level: 'fault', server, text: `${text}: ${message}`, advice }
}

function write({ terminal }: CommandContext, findings: readonly Finding[]): void {
  let server: string | undefined = ''
  for (const finding of findings) {
    if (finding.server !== server) {
      terminal.line(terminal.styled('bold', `${server === '' ? '' : '\n'}${finding.server ?? 'all servers together'}`))
      server = finding.server
    }
    const [mark, style] = MARKS[finding.level]
    terminal.line(`  ${terminal.styled(style, mark)} ${finding.check.padEnd(16)} ${printable(finding.text)}`)
    if (finding.advice !== undefined)
      terminal.line(`    ${''.padEnd(16)} ${terminal.styled('dim', `→ ${finding.advice}`)}`)
  }
  const count = (level: FindingLevel): number => findings.filter((finding) => finding.level === level).length
  terminal.line(
    `\n${count('ok')} good, ${count('note')} to know, ${count('warning')} to change, ${count('fault')} broken`,
  )
}
