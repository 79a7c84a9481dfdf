import { parseOutcome } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/request-buffer.ts'
import type { DeleteOperation } from '../../operations/delete-operation.ts'
import type { LineAnswers } from '../line-answers.ts'
import { DONE } from '../line-exchange.ts'
import type { LineExchange } from '../line-exchange.ts'
import { refuse, textKey } from '../without-meta.ts'

/** delete (protocol.txt, "Deletion"). */
export const textDelete: LineExchange<DeleteOperation> = {
  write({ request }: DeleteOperation, requests: RequestBuffer): void {
    const { wireKey, ...flags } = request
    if (Object.values(flags).some((flag) => flag !== undefined && flag !== false)) refuse('a delete on a condition')
    requests.append(`delete ${textKey(wireKey)}\r\n`)
  },

  line(operation: DeleteOperation, answers: LineAnswers, buffer: Buffer, start: number, end: number): number {
    const outcome = parseOutcome(buffer, start, end)
    if (outcome !== 'deleted' && outcome !== 'notFound') return answers.unexpected(operation, buffer, start, end)
    operation.finish(outcome)
    return DONE
  },
}
