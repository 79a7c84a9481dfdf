function line(text: string): Buffer {
  return Buffer.from(`${text}\r\n`, 'latin1')
}

/** The fixed replies and errors of the text protocol, ready to be sent. */
export const Reply = {
  stored: line('STORED'),
  notStored: line('NOT_STORED'),
  exists: line('EXISTS'),
  notFound: line('NOT_FOUND'),
  deleted: line('DELETED'),
  touched: line('TOUCHED'),
  ok: line('OK'),
  end: line('END'),
  reset: line('RESET'),
  error: line('ERROR'),
  badFormat: line('CLIENT_ERROR bad command line format'),
  badDataChunk: line('CLIENT_ERROR bad data chunk'),
  nonNumeric: line('CLIENT_ERROR cannot increment or decrement non-numeric value'),
  tooLarge: line('SERVER_ERROR object too large for cache'),
  outOfMemoryStoring: line('SERVER_ERROR out of memory storing object'),
  outOfMemory: line('SERVER_ERROR out of memory'),
  // memcached 1.6.45 sends an empty line after this one error.
  badRetrievalKey: line('CLIENT_ERROR bad command line format\r\n'),
} as const
