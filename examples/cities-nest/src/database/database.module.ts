import { Inject, Logger, Module } from '@nestjs/common'
import type { OnApplicationShutdown } from '@nestjs/common'
import { CityTable, openDatabase } from 'cities-data'
import type { Database } from 'cities-data'

/** The injection token of the database: a Postgres in this process. */
const DATABASE = Symbol('database')

/** Opens the database, which contains all cities, and provides its statements. */
@Module({
  providers: [
    {
      provide: DATABASE,
      useFactory: async (): Promise<Database> => {
        const logger = new Logger('Database')
        logger.log('loading 135,233 cities into Postgres')
        return openDatabase((loaded) => {
          if (loaded === 1) logger.log('loaded')
        })
      },
    },
    { provide: CityTable, useFactory: (database: Database) => new CityTable(database), inject: [DATABASE] },
  ],
  exports: [CityTable],
})
export class DatabaseModule implements OnApplicationShutdown {
  constructor(@Inject(DATABASE) private readonly database: Database) {}

  async onApplicationShutdown(): Promise<void> {
    await this.database.close()
  }
}
