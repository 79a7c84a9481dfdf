// Fills a server beyond its memory, over and over, with values of mixed sizes: `node load.js <port> <megabytes>`.
import { Loader } from '../loader.js'

const [port, megabytes] = process.argv.slice(2).map(Number)
const loader = await Loader.open(port)
// Most are small, so that the index grows and grows; some are large, so that pages move.
const length = () =>
  Math.random() < 0.98 ? 10 + Math.floor(Math.random() * 500) : Math.floor(100_000 ** Math.random())
const keys = megabytes * 3000
for (let key = 0; ; key = (key + 1) % keys) await loader.set(key, length())
