import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { memoryReader } from './content.ts'
import { probe } from './probe.ts'
import { sniff } from './sniff.ts'
import { spool } from './spool.ts'
import {
  aacSample,
  type Container,
  type ImageFormat,
  imageSample,
  mp3Sample,
  trackSample,
} from './testing/media-samples.ts'

let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keepsake-probe-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const nothing = { width: null, height: null, duration: null }

/** Probed twice, from memory and from a file: both must agree. */
async function measure(bytes: Buffer, type?: string) {
  const contentType = type ?? (await sniff(bytes))
  const results = []
  for (const memoryLimit of [bytes.length, 0]) {
    const none = (async function* (): AsyncGenerator<Uint8Array> {})()
    const spooled = await spool([bytes], none, { dir, memoryLimit, maxBytes: 1e9 })
    results.push(await probe(contentType, spooled, 30))
    await spooled.dispose()
  }
  expect(results[0]).toEqual(results[1])
  return results[0]
}

describe('images have their size', () => {
  test.each<ImageFormat>(['png', 'jpeg', 'gif', 'webp', 'avif', 'tiff'])('%s', async (format) => {
    expect(await measure(await imageSample(format, 64, 48))).toEqual({ width: 64, height: 48, duration: null })
  })

  test('as shown: turned the way a camera says', async () => {
    expect(await measure(await imageSample('jpeg', 64, 48, 6))).toMatchObject({ width: 48, height: 64 })
    expect(await measure(await imageSample('jpeg', 64, 48, 3))).toMatchObject({ width: 64, height: 48 })
  })

  test('of one frame, where there are several', async () => {
    const frames = await imageSample('png', 20, 30)
    const animation = await sharp(frames, {}).resize(20, 30).gif().toBuffer()
    const joined = await sharp([animation, animation], { join: { animated: true } })
      .gif({ loop: 0 })
      .toBuffer()
    expect(await measure(joined)).toMatchObject({ width: 20, height: 30 })
  })

  test('of any size, since nothing is decoded', async () => {
    const large = await sharp({
      create: { width: 9000, height: 8000, channels: 3, background: 'red' },
      limitInputPixels: false,
    })
      .png({ compressionLevel: 1 })
      .toBuffer()
    expect(await measure(large)).toMatchObject({ width: 9000, height: 8000 })
  })
})

describe('videos and sounds have their duration', () => {
  test.each<Container>(['mp4', 'mov', 'webm', 'mkv'])('%s', async (container) => {
    expect(await measure(await trackSample(container))).toEqual({
      width: 320,
      height: 180,
      duration: expect.closeTo(2, 1),
    })
  })

  test.each<Container>(['audio.webm', 'ogg', 'wav'])('%s', async (container) => {
    const measures = await measure(await trackSample(container))
    expect(measures).toMatchObject({ width: null, height: null })
    expect(measures?.duration).toBeGreaterThan(0)
  })

  test('MP3 and AAC by their frames', async () => {
    expect(await measure(mp3Sample())).toEqual({ ...nothing, duration: expect.closeTo(2, 1) })
    expect(await measure(aacSample())).toEqual({ ...nothing, duration: expect.closeTo(2, 1) })
  })
})

describe('what cannot be measured is not known, and nothing fails', () => {
  test.each(['image/png', 'image/heic', 'video/mp4', 'video/webm', 'audio/mpeg', 'audio/ogg', 'video/x-msvideo'])(
    'noise called %s',
    async (type) => expect(await measure(Buffer.from('\0\x01noise'.repeat(1000)), type)).toEqual(nothing),
  )

  test('a cut video', async () => {
    const whole = await trackSample('mp4')
    expect(await measure(whole.subarray(0, 200), 'video/mp4')).toEqual(nothing)
  })

  test('a playlist is never followed', async () => {
    const playlist = Buffer.from('#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n/etc/passwd\n#EXT-X-ENDLIST\n')
    for (const type of ['video/mp4', 'video/mp2t', 'audio/mpeg']) expect(await measure(playlist, type)).toEqual(nothing)
  })

  test('a web page or an SVG is not opened', async () => {
    expect(await measure(Buffer.from('<svg width="10" height="10" xmlns="http://www.w3.org/2000/svg"/>'))).toEqual(
      nothing,
    )
  })

  test('a content that does not answer in time', async () => {
    const slow = { size: 1000, read: () => new Promise<Uint8Array>(() => {}) }
    expect(await probe('video/mp4', slow, 0.1)).toEqual(nothing)
  })

  test('a content that fails to be read', async () => {
    const failing = { ...memoryReader(Buffer.alloc(1000)), read: () => Promise.reject(new Error('disk')) }
    expect(await probe('video/mp4', failing)).toEqual(nothing)
  })
})
