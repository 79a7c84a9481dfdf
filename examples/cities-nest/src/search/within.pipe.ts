import { BadRequestException } from '@nestjs/common'
import type { PipeTransform } from '@nestjs/common'

/**
 * Parses a query parameter as a number within bounds.
 *
 * @throws BadRequestException if it is not such a number.
 */
export class WithinPipe implements PipeTransform<string | undefined, number> {
  constructor(
    private readonly min: number,
    private readonly max: number,
    private readonly missing?: number,
  ) {}

  transform(text: string | undefined): number {
    if (text === undefined && this.missing !== undefined) return this.missing
    const value = typeof text === 'string' && text.trim() !== '' ? Number(text) : NaN
    if (value >= this.min && value <= this.max) return value
    throw new BadRequestException(`there must be one number from ${this.min} to ${this.max}, not ${String(text)}`)
  }
}
