import { isSameResponse } from 'memcache-ts-testing'
import { ALL_AREAS, areaOf } from './areas.js'

/** A request or an answer is shown up to here. */
const SHOWN_LENGTH = 160

/**
 * The text of docs/conformance.md.
 *
 * @param {object} input
 * @param {readonly import('memcache-ts-testing').RecordedExchange[]} input.recorded what 1.6.45 answered.
 * @param {readonly import('memcache-ts-testing').RecordedExchange[]} input.older what 1.6.18 answered.
 * @param {readonly { answers: string[]; same: boolean }[]} input.ours
 * @param {readonly { answers: string[]; same: boolean }[]} input.debian held against what 1.6.18 answered.
 * @param {Readonly<Record<string, string>>} input.known
 */
export function report({ recorded, older, ours, debian, known }) {
  const rows = ALL_AREAS.map((area) => {
    const indices = recorded.flatMap(({ sent }, index) => (areaOf(sent[0]) === area ? [index] : []))
    const count = (holds) => indices.filter(holds).length
    return [
      area,
      indices.length,
      count((index) => ours[index].same),
      count((index) => debian[index].same),
      count((index) => sameExchange(recorded[index], older[index])),
    ]
  })
  const sum = (column) => rows.reduce((total, row) => total + row[column], 0)
  const differing = recorded.flatMap((exchange, index) => (ours[index].same ? [] : [{ exchange, index }]))
  const versions = recorded.flatMap((exchange, index) =>
    sameExchange(exchange, older[index])
      ? []
      : [`| ${code(exchange.sent)} | ${code(older[index].received)} | ${code(exchange.received)} |`],
  )
  return [
    '# Conformance',
    '',
    'Written by `npm run conformance`; CI compares it by `npm run conformance -- --check`. Every exchange was recorded',
    'from memcached (`conformance/transcripts`), and is sent again over TCP to memcache-ts-server and to Debian’s memcached.',
    'Responses are compared byte for byte; of cas uniques and times, only the format is compared.',
    '',
    '| area | exchanges | memcache-ts-server like 1.6.45 | Debian’s 1.6.18 as recorded | 1.6.18 like 1.6.45 |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row.join(' | ')} |`),
    `| **all** | ${[1, 2, 3, 4].map((column) => `**${sum(column)}**`).join(' | ')} |`,
    '',
    '## Differences of memcache-ts-server from 1.6.45',
    '',
    ...(differing.length === 0
      ? ['Nowhere, in these exchanges.']
      : differing.flatMap(({ exchange, index }) => [
          `- ${code(exchange.sent)}: memcache-ts-server ${code(ours[index].answers)}, memcached ${code(exchange.received)}.`,
          `  ${known[exchange.sent.join(' || ')] ?? 'No reason is known: this is an error.'}`,
        ])),
    '',
    '## Differences of 1.6.18 from 1.6.45',
    '',
    'memcache-ts-server responds like 1.6.45.',
    '',
    '| sent | 1.6.18 | 1.6.45 |',
    '| --- | --- | --- |',
    ...versions,
    '',
  ].join('\n')
}

function sameExchange(exchange, other) {
  return exchange.received.every((answer, index) => isSameResponse(answer, other.received[index] ?? ''))
}

/** @param {readonly string[]} packets */
function code(packets) {
  const text = packets.join(' || ').replaceAll(/(.)\1{40,}/g, (run, unit) => `{${unit}}x${run.length}`)
  const shown = text.length > SHOWN_LENGTH ? `${text.slice(0, SHOWN_LENGTH)}…` : text
  const fence = shown.includes('`') ? '``' : '`'
  return shown === '' ? '(nothing)' : `${fence}${fence === '``' ? ` ${shown} ` : shown}${fence}`.replaceAll('|', '\\|')
}
