/** Keys that are stored and requested. */
const KEYS = 10_000
const LARGE_BYTES = 100_000

const keys = Array.from({ length: KEYS }, (_, index) => `city:${index}`)
/** Texts, which every client gives back as texts without the caller's doing. */
const values = keys.map((key) => key.padEnd(100, '.'))

/** This many callers, each of which sends the next request as soon as it has its response. */
async function inFlight(callers, until, ask) {
  let done = 0
  const caller = async (index) => {
    for (let turn = index; performance.now() < until; turn += callers) {
      await ask(turn % KEYS)
      done++
    }
  }
  await Promise.all(Array.from({ length: callers }, (_, index) => caller(index)))
  return done
}

async function fill(client) {
  for (let from = 0; from < KEYS; from += 500) {
    await Promise.all(keys.slice(from, from + 500).map((key, index) => client.set(key, values[from + index])))
  }
  const found = await client.get(keys[7])
  if (found !== values[7]) throw new Error(`it read back ${JSON.stringify(found)}`)
}

const get = (callers) => ({
  floor: callers > 1 ? ['get', callers] : undefined,
  prepare: fill,
  run: (client, until) => inFlight(callers, until, (turn) => client.get(keys[turn])),
})

/**
 * The workloads; `goal` is the least ratio to the best peer of the same run, `floor` the part of it that a bare socket
 * can send.
 */
export const workloads = {
  'get, 1 in flight': { goal: 0.95, ...get(1) },
  'get, 50 in flight': { goal: 3.5, ...get(50) },
  'get, 500 in flight': { goal: 4, ...get(500) },
  'set, 50 in flight': {
    goal: 3,
    floor: ['set', 50],
    prepare: fill,
    run: (client, until) => inFlight(50, until, (turn) => client.set(keys[turn], values[turn])),
  },
  'getMulti of 100, 4 in flight': {
    goal: 2.5,
    prepare: fill,
    run: (client, until) =>
      inFlight(4, until, async (turn) => {
        const from = (turn * 100) % (KEYS - 100)
        if ((await client.getMulti(keys.slice(from, from + 100))) !== 100) throw new Error('not all were found')
      }),
  },
  'get of 100 kB, 10 in flight': {
    goal: 1.3,
    prepare: async (client) => {
      for (let index = 0; index < 20; index++) await client.set(`large:${index}`, 'x'.repeat(LARGE_BYTES))
    },
    run: (client, until) =>
      inFlight(10, until, async (turn) => {
        const text = await client.get(`large:${turn % 20}`)
        if (text.length !== LARGE_BYTES) throw new Error(`it read back ${text.length} characters`)
      }),
  },
}
