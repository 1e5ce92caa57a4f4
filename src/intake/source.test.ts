import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KeepsakeError } from '../media/index.ts'
import type { ImportSource } from './source.ts'
import { fingerprintSource } from './source-fingerprint.ts'
import { openSource } from './source-open.ts'

const noFetch = {
  open: () => {
    throw new Error('nothing is fetched here')
  },
}

async function read(source: ImportSource, maxBytes = 10_000_000, signal?: AbortSignal): Promise<Buffer> {
  const opened = await openSource(source, noFetch, { maxBytes, ...(signal ? { signal } : {}) })
  const chunks: Uint8Array[] = []
  for await (const chunk of opened.body) chunks.push(chunk)
  const all = Buffer.concat(chunks)
  if (opened.size !== null) expect(all).toHaveLength(opened.size)
  expect(opened.framed).toBe(true)
  await opened.close()
  return all
}

async function errorOf(work: Promise<unknown>): Promise<KeepsakeError> {
  const error = await work.then(
    () => undefined,
    (reason) => reason,
  )
  if (error instanceof KeepsakeError) return error
  throw new Error(`expected a KeepsakeError, got ${error}`)
}

const anyBytes = fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes))

describe('base64', () => {
  test('comes back as the bytes, in any spelling', async () => {
    const spelling = fc.record({
      urlSafe: fc.boolean(),
      padded: fc.boolean(),
      wrap: fc.option(fc.integer({ min: 1, max: 76 }), { nil: undefined }),
    })
    await fc.assert(
      fc.asyncProperty(anyBytes, spelling, async (bytes, { urlSafe, padded, wrap }) => {
        let text = bytes.toString('base64')
        if (urlSafe) text = text.replaceAll('+', '-').replaceAll('/', '_')
        if (!padded) text = text.replaceAll('=', '')
        if (wrap !== undefined) text = `\r\n${text.replace(new RegExp(`(.{${wrap}})`, 'g'), '$1\r\n')} \t`
        expect((await read({ base64: text })).equals(bytes)).toBe(true)
      }),
    )
  })

  test('of several slices, with line breaks anywhere, comes back whole', async () => {
    const bytes = Buffer.alloc(1_000_003, 'keepsake')
    const text = bytes.toString('base64').replace(/(.{61})/g, '$1\n')
    expect((await read({ base64: text })).equals(bytes)).toBe(true)
  })

  test.each<[string, RegExp]>([
    ['AAA!', /character 4 is "!"/],
    ['ÀAAA', /character 1 is "À"/],
    ['A', /one is left over/],
    ['AAAAA', /5 digits; one is left over/],
    ['AA=', /padding at character 3/],
    ['AAA==', /padding at character 4/],
    ['AAAA=', /padding at character 5/],
    ['====', /padding at character 1/],
    ['AA==AA==', /more after the padding at character 3/],
    ['A=AA', /one is left over|more after the padding/],
    ['A+_A', /mixes the standard alphabet \(character 2\) and the URL-safe one \(character 3\)/],
    ['data:image/png;base64,AAAA', /dataUri/],
  ])('%j is malformed', async (base64, message) => {
    const error = await errorOf(read({ base64 }))
    expect(error).toMatchObject({ code: 'invalid_source', retryable: false })
    expect(error.message).toMatch(message)
  })

  test('over the limit is refused before it is decoded; at the limit it passes', async () => {
    const base64 = Buffer.alloc(100).toString('base64')
    expect((await errorOf(read({ base64 }, 99))).code).toBe('content_too_large')
    expect(await read({ base64 }, 100)).toHaveLength(100)
  })

  test('a message does not repeat the content', async () => {
    const error = await errorOf(read({ base64: `${'A'.repeat(1000)}!` }))
    expect(error.message.length).toBeLessThan(300)
  })
})

describe('data URI', () => {
  test.each<[string, string]>([
    ['data:text/plain;base64,aGVsbG8=', 'hello'],
    ['data:image/png;base64,aGVsbG8', 'hello'],
    ['DATA:image/PNG;BASE64,aGVsbG8=', 'hello'],
    ['data:;base64,aGVsbG8%3D', 'hello'],
    ['data:image/svg+xml;charset=utf-8;base64,aGVsbG8=', 'hello'],
    ['data:text/plain;name="a;b";base64,aGVsbG8=', 'hello'],
    ['data:,hello%20w%C3%B6rld', 'hello wörld'],
    ['data:text/plain,a,b', 'a,b'],
    ['data:,', ''],
  ])('%s', async (dataUri, content) => expect((await read({ dataUri })).toString()).toBe(content))

  test('percent-encoded bytes come back, over several slices', async () => {
    await fc.assert(
      fc.asyncProperty(anyBytes, async (bytes) => {
        const data = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
        expect((await read({ dataUri: `data:,${data}` })).equals(bytes)).toBe(true)
      }),
    )
    const long = 'x%20'.repeat(200_000)
    expect((await read({ dataUri: `data:,ab${long}` })).equals(Buffer.from(`ab${'x '.repeat(200_000)}`))).toBe(true)
  })

  test.each([
    'image/png;base64,AAAA',
    'data:image/png;base64',
    'data:image png;base64,AAAA',
    'data:image/png;base64;charset=x,AAAA',
    'data:image/png;base64,AA!A',
    'data:image/png;base64,AA%FFA',
    'data:image/png;base64,AA%4',
    'data:,a b',
    'data:,ö',
    'data:,a#b',
    'data:,100%',
    'data:,%zz',
    `data:${'x'.repeat(2000)},A`,
    '',
  ])('%j is malformed', async (dataUri) => {
    const error = await errorOf(read({ dataUri }))
    expect(error.code).toBe('invalid_source')
    expect(error.message.length).toBeLessThan(300)
  })

  test('over the limit is refused', async () => {
    expect((await errorOf(read({ dataUri: 'data:,%41%42%43' }, 2))).code).toBe('content_too_large')
    expect((await errorOf(read({ dataUri: 'data:;base64,QUJD' }, 2))).code).toBe('content_too_large')
  })
})

describe('bytes', () => {
  async function* chunks(...values: string[]) {
    for (const value of values) yield Buffer.from(value)
  }

  test('in memory, from an iterable, from a stream', async () => {
    expect((await read({ bytes: Buffer.from('hello') })).toString()).toBe('hello')
    expect(await read({ bytes: new Uint8Array(700_000) })).toHaveLength(700_000)
    expect((await read({ bytes: chunks('he', 'llo') })).toString()).toBe('hello')
    expect((await read({ bytes: ReadableStream.from(chunks('he', 'llo')) })).toString()).toBe('hello')
  })

  test('over the limit are refused, from a stream as they come', async () => {
    expect((await errorOf(read({ bytes: Buffer.from('hello') }, 4))).code).toBe('content_too_large')
    let closed = false
    async function* endless() {
      try {
        for (;;) yield Buffer.alloc(100)
      } finally {
        closed = true
      }
    }
    expect((await errorOf(read({ bytes: endless() }, 1000))).code).toBe('content_too_large')
    expect(closed).toBe(true)
  })

  test('a stream that fails is cut off, one of something else is not valid', async () => {
    async function* failing() {
      yield Buffer.from('x')
      throw new Error('disk')
    }
    expect(await errorOf(read({ bytes: failing() }))).toMatchObject({ code: 'content_truncated', retryable: false })
    const strings = ReadableStream.from(['text']) as ReadableStream<unknown>
    const error = await errorOf(read({ bytes: strings as ReadableStream<Uint8Array> }))
    expect(error.code).toBe('invalid_source')
  })

  test('a stream that hangs is left at the abort', async () => {
    const hanging = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) })
    const controller = new AbortController()
    const reading = read({ bytes: hanging }, 10, controller.signal)
    const reason = new Error('stop')
    controller.abort(reason)
    await expect(reading).rejects.toBe(reason)
  })
})

describe('fingerprintSource', () => {
  test('is the same for the same bytes however they come, and another for others', async () => {
    await fc.assert(
      fc.asyncProperty(anyBytes, anyBytes, async (bytes, others) => {
        const base64 = bytes.toString('base64')
        const prints = [
          await fingerprintSource({ bytes }),
          await fingerprintSource({ base64 }),
          await fingerprintSource({ dataUri: `data:image/png;base64,${base64}` }),
        ]
        expect(new Set(prints).size).toBe(1)
        expect(prints[0]).toMatch(/^[0-9a-f]{64}$/)
        expect((await fingerprintSource({ bytes: others })) === prints[0]).toBe(bytes.equals(others))
      }),
    )
  })

  test('of a URL is of its text, apart from bytes that spell it; of a stream there is none', async () => {
    const url = 'https://media.test/a'
    expect(await fingerprintSource({ url })).toBe(await fingerprintSource({ url, expiresAt: new Date() }))
    expect(await fingerprintSource({ url })).not.toBe(await fingerprintSource({ url: `${url}?b` }))
    expect(await fingerprintSource({ url })).not.toBe(await fingerprintSource({ bytes: Buffer.from(url) }))
    expect(await fingerprintSource({ bytes: new ReadableStream() })).toBeNull()
  })

  test('of malformed content fails as opening it does', async () => {
    expect((await errorOf(fingerprintSource({ base64: 'A' }))).code).toBe('invalid_source')
  })
})
