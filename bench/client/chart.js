/**
 * Bars of operations a second: a group for each workload, a bar for each client, the longest of a group as long as it
 * gets.
 */

const WIDTH = 760
const LABEL = 150
const BAR = 14
const GAP = 3
const GROUP_GAP = 30
const MAX_LENGTH_PX = 470
const COLOURS = { 'memcache-ts-client': '#1a7f5a' }
const OTHER_COLOUR = '#b8c0c8'

export function chartOf(summaries) {
  const rows = []
  let y = 16
  for (const { workload, medians } of summaries) {
    rows.push(`<text x="0" y="${y}" font-weight="600">${workload}</text>`)
    y += 10
    const most = Math.max(...Object.values(medians).map(({ perSecond }) => perSecond))
    for (const [name, { perSecond }] of Object.entries(medians)) {
      const length = Math.max(1, (perSecond / most) * MAX_LENGTH_PX)
      const middle = y + BAR - 3
      rows.push(
        `<text x="${LABEL - 8}" y="${middle}" text-anchor="end">${name}</text>`,
        `<rect x="${LABEL}" y="${y}" width="${length.toFixed(1)}" height="${BAR}" fill="${COLOURS[name] ?? OTHER_COLOUR}"/>`,
        `<text x="${(LABEL + length + 6).toFixed(1)}" y="${middle}">${figure(perSecond)} a second</text>`,
      )
      y += BAR + GAP
    }
    y += GROUP_GAP
  }
  const height = y - GROUP_GAP + 8
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 -8 ${WIDTH} ${height + 16}" font-family="system-ui, sans-serif" font-size="12" fill="#1c2024">
<rect x="-12" y="-8" width="${WIDTH}" height="${height + 16}" fill="#fff"/>
${rows.join('\n')}
</svg>
`
}

function figure(perSecond) {
  return perSecond < 10_000
    ? Math.round(perSecond).toLocaleString('en')
    : `${Math.round(perSecond / 1000).toLocaleString('en')} k`
}
