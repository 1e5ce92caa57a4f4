import fc from 'fast-check'
import sharp, { type Sharp } from 'sharp'
import { describe, expect, test } from 'vitest'
import { imageSize } from './image-size.ts'

const side = fc.integer({ min: 1, max: 300 })

function picture(width: number, height: number, alpha: boolean) {
  const background = alpha ? { r: 9, g: 99, b: 9, alpha: 0.5 } : { r: 9, g: 99, b: 9 }
  return sharp({ create: { width, height, channels: alpha ? 4 : 3, background } })
}

const makers = {
  'a PNG': ['image/png', (image) => image.png()],
  'an interlaced PNG': ['image/png', (image) => image.png({ progressive: true, palette: true })],
  'a JPEG': ['image/jpeg', (image) => image.jpeg()],
  'a progressive JPEG with a colour profile': [
    'image/jpeg',
    (image) => image.withIccProfile('p3').jpeg({ progressive: true }),
  ],
  'a WebP': ['image/webp', (image) => image.webp()],
  'a WebP without loss': ['image/webp', (image) => image.webp({ lossless: true })],
  'a WebP with a colour profile': ['image/webp', (image) => image.withIccProfile('p3').webp()],
} satisfies Record<string, [string, (image: Sharp) => Sharp]>

describe('the size that is read is that which a decoder says', () => {
  test.each(Object.entries(makers))('of %s', async (_, [type, make]) => {
    await fc.assert(
      fc.asyncProperty(side, side, fc.boolean(), async (width, height, alpha) => {
        const bytes = await make(picture(width, height, alpha)).toBuffer()
        const { width: theirs, height: high } = await sharp(bytes).metadata()
        expect(imageSize(type, bytes)).toEqual({ width: theirs, height: high })
      }),
      { numRuns: 15 },
    )
  })
})

describe('left to the decoder', () => {
  const exif = { IFD0: { Orientation: '6' } }
  test.each<[string, string, (image: Sharp) => Sharp]>([
    ['a turned JPEG', 'image/jpeg', (image) => image.withExif(exif).jpeg()],
    ['a PNG with Exif', 'image/png', (image) => image.withExif(exif).png()],
    ['a WebP with Exif', 'image/webp', (image) => image.withExif(exif).webp()],
    ['a GIF', 'image/gif', (image) => image.gif()],
  ])('%s', async (_, type, make) => {
    expect(imageSize(type, await make(picture(20, 30, false)).toBuffer())).toBeUndefined()
  })

  test('whatever bytes there are, it answers or leaves it', async () => {
    const originals = await Promise.all(
      Object.values(makers).map(async ([type, make]) => ({
        type,
        bytes: await make(picture(20, 30, true)).toBuffer(),
      })),
    )
    fc.assert(
      fc.property(
        fc.constantFrom(...originals),
        fc.nat(2000),
        fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }),
        ({ type, bytes }, cut, changes) => {
          const other = Buffer.from(bytes.subarray(0, cut))
          for (const [at, value] of changes) if (at < other.length) other[at] = value
          const size = imageSize(type, other)
          expect(size === undefined || (size.width > 0 && size.height > 0)).toBe(true)
        },
      ),
      { numRuns: 2000 },
    )
  })
})
