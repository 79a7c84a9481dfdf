import { RequestError } from './request.ts'
import { Reply } from './text/reply.ts'

function line(text: string): Buffer {
  return Buffer.from(`${text}\r\n`, 'latin1')
}

const REPLIES: Readonly<Record<number, Buffer>> = {
  [RequestError.unknownCommand]: Reply.error,
  [RequestError.badFormat]: Reply.badFormat,
  [RequestError.invalidExptime]: line('CLIENT_ERROR invalid exptime argument'),
  [RequestError.invalidDelta]: line('CLIENT_ERROR invalid numeric delta argument'),
  [RequestError.duplicateFlag]: line('CLIENT_ERROR duplicate flag'),
  [RequestError.invalidFlag]: line('CLIENT_ERROR invalid flag'),
  [RequestError.invalidOrDuplicateFlag]: line('CLIENT_ERROR invalid or duplicate flag'),
  [RequestError.tooManyFlags]: line('CLIENT_ERROR options flags are too long'),
  [RequestError.opaqueTooLong]: line('CLIENT_ERROR opaque token too long'),
  [RequestError.badToken]: line('CLIENT_ERROR bad token in command line format'),
  [RequestError.badKeyEncoding]: line('CLIENT_ERROR error decoding key'),
  [RequestError.badSetMode]: line('CLIENT_ERROR invalid mode for ms M token'),
  [RequestError.badArithmeticMode]: line('CLIENT_ERROR invalid mode for ma M token'),
  [RequestError.badInitial]: line('CLIENT_ERROR invalid numeric initial value'),
  [RequestError.badDelta]: line('CLIENT_ERROR invalid numeric delta value'),
}

/** Returns the reply to a request that `parseRequest` refused; `undefined` if there is no reply. */
export function errorReply(error: number): Buffer | undefined {
  return REPLIES[error]
}
