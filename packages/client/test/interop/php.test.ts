import { describeWithCommand, launchMemcached } from 'memcache-ts-testing'
import { expect, it } from 'vitest'
import { MemcacheDecodeError, MemcachedClient } from '../../src/index.ts'
import { runForeign } from './foreign-program.ts'

const PHP = '/usr/bin/php'
const LONG = 'Zürich ☂ '.repeat(10_000)
/** Text that is neither a run of one letter nor noise: it has matches near and far. */
const MIXED = Array.from({ length: 3000 }, (_, index) => `${index * 7919} ${'ab'.repeat(index % 40)}`).join('\n')

const PROGRAM = `
$long = str_repeat('Zürich ☂ ', 10000);
$m = new Memcached(); $m->addServer('127.0.0.1', (int) $argv[1]);
$m->setOption(Memcached::OPT_SERIALIZER, Memcached::SERIALIZER_JSON_ARRAY);
$m->setOption(Memcached::OPT_COMPRESSION, COMPRESS !== 'none');
if (COMPRESS === 'zlib') $m->setOption(Memcached::OPT_COMPRESSION_TYPE, Memcached::COMPRESSION_ZLIB);
if (COMPRESS === 'fastlz') $m->setOption(Memcached::OPT_COMPRESSION_TYPE, Memcached::COMPRESSION_FASTLZ);
$mixed = []; for ($i = 0; $i < 3000; $i++) $mixed[] = ($i * 7919) . ' ' . str_repeat('ab', $i % 40);
$m->set('php-mixed', implode("\\n", $mixed));
$m->set('php-text', 'Zürich ☂'); $m->set('php-long', $long); $m->set('php-int', -42); $m->set('php-big', PHP_INT_MAX);
$m->set('php-float', 1.5); $m->set('php-yes', true); $m->set('php-no', false); $m->set('php-object', ['a' => [1, 'two', null]]);
$m->setOption(Memcached::OPT_SERIALIZER, Memcached::SERIALIZER_PHP); $m->set('php-native', ['a' => 1]);
$m->setOption(Memcached::OPT_SERIALIZER, Memcached::SERIALIZER_JSON_ARRAY);
echo json_encode([$m->get('js-text'), $m->get('js-long') === $long, $m->get('js-int'), $m->get('js-float'), $m->get('js-yes'), $m->get('js-no'), $m->get('js-object')]);
`

describeWithCommand(
  { command: [PHP, '-r', 'exit(extension_loaded("memcached") ? 0 : 1);'], debianPackage: 'php-memcached' },
  'php-memcached',
  () => {
    it.each([
      ['none', false],
      ['zlib', true],
      ['fastlz', true],
    ] as const)('and ours read each other, compressed by %s', async (algorithm, compression) => {
      await using server = await launchMemcached()
      const options = { servers: server.address, timeoutMs: 5000, values: 'php-memcached', compression } as const
      await using client = new MemcachedClient(options)
      await client.set('js-text', 'Zürich ☂')
      await client.set('js-long', LONG)
      await client.set('js-int', -42)
      await client.set('js-float', 1.5)
      await client.set('js-yes', true)
      await client.set('js-no', false)
      await client.set('js-object', { a: [1, 'two', null] })
      const program = PROGRAM.replaceAll('COMPRESS ', `'${algorithm}' `)
      const read = await runForeign([PHP, '-r'], program, server.port)
      expect(read).toEqual(['Zürich ☂', true, -42, 1.5, true, false, { a: [1, 'two', null] }])
      expect(await client.get('php-text')).toBe('Zürich ☂')
      expect(await client.get('php-long')).toBe(LONG)
      expect((await client.gets('php-long'))!.clientFlags).toBe({ none: 0, zlib: 48, fastlz: 80 }[algorithm])
      expect(await client.get('php-mixed')).toBe(MIXED)
      expect(await client.get('php-int')).toBe(-42)
      expect(await client.get('php-big')).toBe(2n ** 63n - 1n)
      expect(await client.get('php-float')).toBe(1.5)
      expect(await client.get('php-yes')).toBe(true)
      expect(await client.get('php-no')).toBe(false)
      expect(await client.get('php-object')).toEqual({ a: [1, 'two', null] })
      await expect(client.get('php-native')).rejects.toThrow(MemcacheDecodeError)
    })
  },
)
