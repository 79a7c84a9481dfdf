import { Module } from '@nestjs/common'
import { DatabaseModule } from '../database/database.module.ts'
import { SearchController } from './search.controller.ts'
import { SearchService } from './search.service.ts'

@Module({ imports: [DatabaseModule], providers: [SearchService], controllers: [SearchController] })
export class SearchModule {}
