import { parseOutcome } from 'memcache-ts-protocol'
import type { RequestBuffer } from '../../connection/link.ts'
import type { DeleteOperation } from '../../operations/delete-operation.ts'
import { DONE } from '../line/line-codec.ts'
import type { LineCodec, LineResponses } from '../line/line-codec.ts'
import { refuse, textKey } from '../refusals.ts'

/** delete (protocol.txt, "Deletion"). */
export const textDelete: LineCodec<DeleteOperation> = {
  write({ request }: DeleteOperation, requests: RequestBuffer): void {
    const { wireKey, ...flags } = request
    if (Object.values(flags).some((flag) => flag !== undefined && flag !== false)) refuse('a delete on a condition')
    requests.append(`delete ${textKey(wireKey)}\r\n`)
  },

  readLine(operation: DeleteOperation, responses: LineResponses, buffer: Buffer, start: number, end: number): number {
    const outcome = parseOutcome(buffer, start, end)
    if (outcome !== 'deleted' && outcome !== 'notFound') return responses.unexpected(operation, buffer, start, end)
    operation.finish(outcome)
    return DONE
  },
}
