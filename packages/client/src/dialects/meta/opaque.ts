import { MetaCode, parseMetaReply, writeFlag } from 'memcache-ts-protocol'
import type { Operation } from '../../operations/operation.ts'
import type { LineAnswers } from '../line-answers.ts'

const LETTER_O = 79
const LETTERS = Buffer.from('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_')
const BITS_PER_LETTER = 6
/** Enough to be different for all that can wait on a connection: what a proxy loses must not come around to it again. */
const LENGTH = 4
const MASK = 2 ** (BITS_PER_LETTER * LENGTH) - 1

let last = 0

/** Writes ` O<four letters>`: what the answer must echo, so that an answer which a proxy lost or doubled is noticed at once. */
export function writeOpaque(out: Buffer, at: number, operation: Operation): number {
  last = (last + 1) & MASK
  operation.opaque = last
  const start = writeFlag(out, at, LETTER_O)
  for (let index = 0; index < LENGTH; index++) out[start + index] = letterOf(last, index)
  return start + LENGTH
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
  if (opaqueEnd - opaqueStart !== LENGTH) return false
  for (let index = 0; index < LENGTH; index++) {
    if (buffer[opaqueStart + index] !== letterOf(operation.opaque, index)) return false
  }
  return true
}

function letterOf(opaque: number, index: number): number {
  return LETTERS[(opaque >> (BITS_PER_LETTER * index)) & 63]!
}
