import { BadRequestException } from '@nestjs/common'
import type { PipeTransform } from '@nestjs/common'
import { fold } from 'cities-data'

/**
 * Parses a query parameter as a text to search for.
 *
 * @throws BadRequestException if it has nothing to search for.
 */
export class TextPipe implements PipeTransform<unknown, string> {
  transform(text: unknown): string {
    const isText = typeof text === 'string' && text.length <= 100 && !/\p{Control}/u.test(text)
    if (isText && fold(text).trim() !== '') return text.trim()
    throw new BadRequestException('q must be one text of 1 to 100 characters')
  }
}
