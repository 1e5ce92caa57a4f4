import { supportedMimeTypes } from 'file-type'
import { describe, expect, test } from 'vitest'
import { acceptsContentType, extensionOf, keyKindOf, kindOf, normalizeContentType } from './index.ts'

/** What a sniffer reports for the formats that browsers, phones and models make. */
const everyday = {
  image:
    'image/jpeg image/png image/gif image/webp image/avif image/heic image/heif image/tiff image/bmp image/jxl image/apng',
  video:
    'video/mp4 video/x-m4v video/quicktime video/webm video/matroska video/vnd.avi video/mpeg video/ogg video/3gpp',
  audio: 'audio/mpeg audio/mp4 audio/x-m4a audio/aac audio/ogg audio/wav audio/flac audio/aiff',
}

describe('content types', () => {
  test.each(Object.entries(everyday))('%s: what is made every day is known, as the sniffer spells it', (kind, list) => {
    for (const sniffed of list.split(' ')) {
      expect(supportedMimeTypes.has(sniffed as never), `${sniffed} is a type that file-type reports`).toBe(true)
      const type = normalizeContentType(sniffed)
      expect([sniffed, kindOf(type)]).toEqual([sniffed, kind])
      expect(extensionOf(type)).toMatch(/^[a-z0-9]{3,4}$/)
      expect(acceptsContentType([kind], type)).toBe(true)
      expect(acceptsContentType([`${kind}/*`], type)).toBe(true)
    }
  })

  test('are compared without parameters, case or odd spellings', () => {
    expect(normalizeContentType(' Image/JPG; charset=binary')).toBe('image/jpeg')
    expect(normalizeContentType('audio/ogg; codecs=opus')).toBe('audio/ogg')
    expect(normalizeContentType('constructor')).toBe('constructor')
    expect(acceptsContentType(['Image/JPG'], 'image/jpeg')).toBe(true)
  })

  test.each([
    ['text/html', 'bin'],
    ['application/xhtml+xml', 'bin'],
    ['image/svg+xml', 'svg'],
    ['application/xml', 'bin'],
    ['text/javascript', 'bin'],
  ])('%s is never an image, a video or audio', (type, extension) => {
    expect(kindOf(type)).toBe('other')
    expect(extensionOf(type)).toBe(extension)
    expect(acceptsContentType(['image', 'image/*', 'video', 'audio'], type)).toBe(false)
  })

  test('other is not a kind that can be accepted as a whole', () => {
    expect(acceptsContentType(['other', '*/*', 'text/*'], 'text/html')).toBe(false)
    expect(acceptsContentType(['application/pdf'], 'application/pdf')).toBe(true)
    expect(acceptsContentType(['application/pdf'], 'application/zip')).toBe(false)
  })

  test('a drawing lies with the images, though it is none', () => {
    expect(keyKindOf('image/svg+xml')).toBe('image')
    expect(acceptsContentType(['image/svg+xml'], 'image/svg+xml')).toBe(true)
    for (const type of ['image/png', 'video/mp4', 'text/html', 'image/x-unknown']) {
      expect(keyKindOf(type)).toBe(kindOf(type))
    }
  })

  test('a kind does not let another in', () => {
    expect(acceptsContentType(['image'], 'video/mp4')).toBe(false)
    expect(acceptsContentType(['image/png'], 'image/jpeg')).toBe(false)
    expect(acceptsContentType([], 'image/png')).toBe(false)
  })
})
