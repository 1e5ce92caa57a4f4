import { describe, expect, test } from 'vitest'
import { isComplete, requireComplete } from './complete.ts'
import { memoryReader } from './content.ts'
import { sniff } from './sniff.ts'
import { box, type Container, type ImageFormat, imageSample, trackSample } from './testing/media-samples.ts'

/** Read from memory and by a reader: both must agree. */
const complete = async (type: string, bytes: Buffer) => {
  const [whole, byReader] = await Promise.all([
    isComplete(type, { ...memoryReader(bytes), bytes }),
    isComplete(type, memoryReader(bytes)),
  ])
  expect(whole).toBe(byReader)
  return whole
}

describe('every cut is told from the whole', () => {
  test.each<ImageFormat>(['png', 'jpeg', 'gif', 'webp', 'avif'])('%s', async (format) => {
    const whole = await imageSample(format, 40, 30)
    const type = await sniff(whole)
    expect(await complete(type, whole)).toBe(true)
    for (let length = 16; length < whole.length; length += 1) {
      expect(await complete(type, whole.subarray(0, length)), `${length} of ${whole.length}`).toBe(false)
    }
  })

  test.each<Container>(['mp4', 'mov', 'wav'])('%s', async (container) => {
    const whole = await trackSample(container)
    const type = await sniff(whole)
    expect(await complete(type, whole)).toBe(true)
    for (let length = 16; length < whole.length - 8; length += 97) {
      expect(await complete(type, whole.subarray(0, length)), `${length} of ${whole.length}`).toBe(false)
    }
  })

  test('a JPEG of many scans, with a thumbnail that has an end of its own, larger than one read', async () => {
    const { default: sharp } = await import('sharp')
    const whole = await sharp(await imageSample('png', 600, 500))
      .jpeg({ progressive: true, quality: 95 })
      .toBuffer()
    const thumbnail = Buffer.concat([Buffer.from([0xff, 0xe1, 0, 6, 0xff, 0xd9, 0xff, 0xd9])])
    const withThumbnail = Buffer.concat([whole.subarray(0, 2), thumbnail, whole.subarray(2)])
    expect(whole.length).toBeGreaterThan(100_000)
    expect(await complete('image/jpeg', withThumbnail)).toBe(true)
    for (let length = 100; length < withThumbnail.length; length += 1009) {
      expect(await complete('image/jpeg', withThumbnail.subarray(0, length))).toBe(false)
    }
  })
})

describe('what cannot be told passes', () => {
  test('bytes behind the end', async () => {
    for (const format of ['png', 'jpeg', 'gif'] as const) {
      const padded = Buffer.concat([await imageSample(format), Buffer.alloc(100)])
      expect(await complete(await sniff(padded), padded)).toBe(true)
    }
  })

  test('a sound that was recorded without going back to write its size', async () => {
    for (const declared of [0, 0xffff_ffff]) {
      const wav = Buffer.from('RIFF\0\0\0\0WAVEfmt ', 'latin1')
      wav.writeUInt32LE(declared, 4)
      expect(await complete('audio/wav', wav)).toBe(true)
    }
  })

  test('a last box that goes to the end', async () => {
    const last = box('mdat', 'frames')
    last.writeUInt32BE(0)
    const file = Buffer.concat([box('ftyp', 'isom'), box('moov', ''), last])
    expect(await complete('video/mp4', file)).toBe(true)
    expect(await complete('video/mp4', Buffer.concat([box('ftyp', 'isom'), last]))).toBe(false)
  })

  test('a box of 64-bit size', async () => {
    const large = Buffer.alloc(20)
    large.writeUInt32BE(1)
    large.write('mdat', 4)
    large.writeBigUInt64BE(20n, 8)
    const file = Buffer.concat([box('moov', ''), large])
    expect(await complete('video/mp4', file)).toBe(true)
    expect(await complete('video/mp4', file.subarray(0, -1))).toBe(false)
  })

  test('formats that do not say where they end', async () => {
    for (const type of ['video/webm', 'audio/mpeg', 'image/tiff', 'text/plain']) {
      expect(await complete(type, Buffer.from('x'))).toBe(true)
    }
  })
})

test('requireComplete throws for a retry', async () => {
  const png = await imageSample('png')
  await requireComplete('image/png', memoryReader(png))
  await expect(requireComplete('image/png', memoryReader(png.subarray(0, -1)))).rejects.toMatchObject({
    code: 'content_truncated',
    retryable: true,
  })
})
