import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger'
import type { City, CityChange } from 'cities-data'

/** A city in the API's responses. */
export class CityDto implements City {
  @ApiProperty({ example: 2_988_507 }) id!: number
  @ApiProperty({ example: 'Paris' }) name!: string
  @ApiProperty({ example: 'FR', description: 'ISO 3166-1' }) country!: string
  @ApiProperty({ example: 2_138_551 }) population!: number
  @ApiProperty({ example: 48.85341 }) lat!: number
  @ApiProperty({ example: 2.3488 }) lon!: number
}

/** A city and its distance. */
export class NearCityDto extends CityDto {
  @ApiProperty({ example: 12.5, description: 'kilometres from the point' }) km!: number
}

/** The properties of a city that can be changed; at least one is required. */
export class CityChangeDto implements CityChange {
  @ApiPropertyOptional({ example: 'Paris' }) name?: string
  @ApiPropertyOptional({ example: 2_103_778 }) population?: number
}
