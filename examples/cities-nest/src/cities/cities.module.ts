import { Module } from '@nestjs/common'
import { DatabaseModule } from '../database/database.module.ts'
import { CitiesController } from './cities.controller.ts'
import { CitiesService } from './cities.service.ts'

@Module({ imports: [DatabaseModule], providers: [CitiesService], controllers: [CitiesController] })
export class CitiesModule {}
