import { BaseDriver } from 'bentocache/drivers/base_driver'
import memjs from 'memjs'

/** bentocache has no driver for memcached: this is one over memjs, with what the comparison needs. */
class MemjsDriver extends BaseDriver {
  type = 'l2'
  #client

  constructor(config) {
    super(config)
    this.#client = memjs.Client.create(config.address)
  }

  async get(key) {
    const { value } = await this.#client.get(this.getItemKey(key))
    return value?.toString()
  }

  set(key, value, ttlMs) {
    return this.#client.set(
      this.getItemKey(key),
      value,
      ttlMs === undefined ? {} : { expires: Math.ceil(ttlMs / 1000) },
    )
  }

  delete(key) {
    return this.#client.delete(this.getItemKey(key))
  }

  async disconnect() {
    this.#client.close()
  }
}

export function memjsDriver(address) {
  return { options: { address }, factory: (config) => new MemjsDriver({ ...config, address }) }
}
