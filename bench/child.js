import { fork } from 'node:child_process'

/**
 * Starts a module in a process of its own, and resolves when the process has sent its first message.
 *
 * @returns {Promise<{ child: import('node:child_process').ChildProcess; first: unknown }>} the process, and the
 *   message.
 */
export async function start(module, args = [], options = {}) {
  const child = fork(module, args, options)
  return { child, first: await messageOf(child) }
}

/** Sends a message to a process, and resolves to its response. */
export function ask(child, message) {
  const response = messageOf(child)
  // The response shows that the process has ended.
  if (child.connected) child.send(message, () => {})
  return response
}

/**
 * Resolves to the next message of a process. Rejects if the process ends before it sends one, so that no benchmark
 * waits for a process that has crashed; what the process has printed says why.
 */
function messageOf(child) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      child.off('message', onMessage).off('disconnect', onEnd).off('error', onEnd)
    }
    const onMessage = (message) => {
      stop()
      resolve(message)
    }
    // All messages of a process come before its `disconnect`, but may come after its `exit`.
    const onEnd = (error) => {
      stop()
      const script = child.spawnargs.slice(1).find((argument) => argument.endsWith('.js'))
      reject(new Error(`${script ?? 'a process'} (${child.pid}) ended before it responded`, { cause: error }))
    }
    child.on('message', onMessage).on('disconnect', onEnd).on('error', onEnd)
    if (!child.connected) onEnd()
  })
}
