import type { INestApplication } from '@nestjs/common'
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger'

/** Serves the OpenAPI page at `/docs`, and the document at `/docs-json`. */
export function serveOpenApi(app: INestApplication): void {
  const config = new DocumentBuilder()
    .setTitle('Cities')
    .setDescription('135,233 cities in Postgres, cached by memcache-ts. Ask twice, and look at Cache-Status.')
    .build()
  SwaggerModule.setup('docs', app, () => SwaggerModule.createDocument(app, config))
}
