import { BadRequestException, Injectable } from '@nestjs/common'
import type { PipeTransform } from '@nestjs/common'
import { CityChangeDto } from './city.dto.ts'

const MAX_POPULATION = 2 ** 31 - 1

/**
 * Parses a request's body as a change of a city.
 *
 * @throws BadRequestException if the body is not such a change.
 */
@Injectable()
export class CityChangePipe implements PipeTransform<unknown, CityChangeDto> {
  transform(body: unknown): CityChangeDto {
    const { name, population, ...others } = (body ?? {}) as Record<string, unknown>
    const [unknown] = Object.keys(others)
    if (unknown !== undefined) throw new BadRequestException(`name and population can be changed, not ${unknown}`)
    const change = new CityChangeDto()
    if (name !== undefined) {
      if (typeof name !== 'string' || name.trim() === '' || name.length > 200 || /\p{Control}/u.test(name)) {
        throw new BadRequestException('name must be a text of 1 to 200 characters')
      }
      change.name = name.trim()
    }
    if (population !== undefined) {
      if (!Number.isInteger(population) || Number(population) < 0 || Number(population) > MAX_POPULATION) {
        throw new BadRequestException(`population must be a whole number from 0 to ${MAX_POPULATION}`)
      }
      change.population = Number(population)
    }
    if (name === undefined && population === undefined) throw new BadRequestException('give name, population or both')
    return change
  }
}
