import type { LoadProgress } from 'cities-data'

const WIDTH = 30

/** A bar on a terminal that fills as something loads; elsewhere, as in a log, one line when it is done. */
export function loadingBar(title: string): LoadProgress {
  const { stderr } = process
  if (!stderr.isTTY) return (loaded) => (loaded === 1 ? stderr.write(`${title}: loaded\n`) : undefined)
  const draw: LoadProgress = (loaded) => {
    const filled = Math.round(loaded * WIDTH)
    const bar = '█'.repeat(filled) + '░'.repeat(WIDTH - filled)
    stderr.write(`\r${title} ${bar} ${Math.round(loaded * 100)} %${loaded === 1 ? '\n' : ''}`)
  }
  draw(0)
  return draw
}
