import { MetaCode, parseMetaReply, writeFlag } from 'memcache-ts-protocol'
import type { Operation } from '../../operations/operation.ts'
import type { LineAnswers } from '../line-answers.ts'

const LETTER_O = 79
const FIRST_LETTER = 97
const LETTERS = 26

let last = 0

/** Writes ` O<letter>`: what the answer must echo, so that an answer which a proxy lost or doubled is noticed at once. */
export function writeOpaque(out: Buffer, at: number, operation: Operation): number {
  last = (last + 1) % LETTERS
  operation.opaque = FIRST_LETTER + last
  const end = writeFlag(out, at, LETTER_O)
  out[end] = operation.opaque
  return end + 1
}

/** Reads a meta answer's line into `answers.reply`; returns false for what is none, or is another's. */
export function readReply(
  operation: Operation,
  answers: LineAnswers,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  const { reply } = answers
  return parseMetaReply(reply, buffer, start, end) && isAnswerTo(operation, answers, buffer)
}

function isAnswerTo(operation: Operation, { reply }: LineAnswers, buffer: Buffer): boolean {
  const { opaqueStart, opaqueEnd } = reply
  // Old servers echo it with what they found, but not with a miss.
  if (opaqueStart === 0) return reply.code !== MetaCode.VA && reply.code !== MetaCode.HD
  return opaqueEnd - opaqueStart === 1 && buffer[opaqueStart] === operation.opaque
}
