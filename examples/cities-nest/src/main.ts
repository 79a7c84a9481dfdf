import 'reflect-metadata'
import { Logger } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { portFrom } from 'cities-data'
import { AppModule } from './app.module.ts'
import { serveOpenApi } from './open-api.ts'

const port = portFrom(process.env['PORT'] ?? '3001')
// Connections that clients keep open do not delay the end.
const app = await NestFactory.create(AppModule, { forceCloseConnections: true })
serveOpenApi(app)
// On SIGTERM, running requests get their responses, then the cache is closed.
app.enableShutdownHooks()
await app.listen(port, '127.0.0.1')

const origin = (await app.getUrl()).replace('127.0.0.1', 'localhost')
new Logger('Cities').log(`${origin}/docs, or curl -i '${origin}/api/near?lat=48.85&lon=2.35'`)
