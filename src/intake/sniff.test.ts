import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { kindOf } from '../media/index.ts'
import { readHead } from './head.ts'
import { SNIFF_BYTES, sniff } from './sniff.ts'
import {
  aacSample,
  box,
  type Container,
  type ImageFormat,
  imageSample,
  mp3Sample,
  trackSample,
} from './testing/media-samples.ts'

const text = (value: string) => sniff(Buffer.from(value))
const utf16 = (value: string) => Buffer.from(`\uFEFF${value}`, 'utf16le')
const head = (bytes: Buffer) => bytes.subarray(0, SNIFF_BYTES)

describe('media is what its bytes say', () => {
  test.each<[ImageFormat, string]>([
    ['png', 'image/png'],
    ['jpeg', 'image/jpeg'],
    ['gif', 'image/gif'],
    ['webp', 'image/webp'],
    ['avif', 'image/avif'],
    ['tiff', 'image/tiff'],
  ])('%s', async (format, type) => {
    expect(await sniff(await imageSample(format))).toBe(type)
    expect(await sniff(head(await imageSample(format, 200, 200)))).toBe(type)
  })

  test.each<[Container, string]>([
    ['mp4', 'video/mp4'],
    ['mov', 'video/quicktime'],
    ['webm', 'video/webm'],
    ['audio.webm', 'audio/webm'],
    ['mkv', 'video/x-matroska'],
    ['ogg', 'audio/ogg'],
    ['wav', 'audio/wav'],
  ])('%s', async (container, type) => expect(await sniff(head(await trackSample(container)))).toBe(type))

  const bitmap = Buffer.alloc(60)
  bitmap.write('BM')
  bitmap.writeUInt32LE(40, 14)
  const id3 = Buffer.concat([Buffer.from('ID3\x03\0\0\0\x02\x00\x00', 'latin1'), Buffer.alloc(32_768)])
  const apng = Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR', 'latin1'),
    Buffer.alloc(17),
    Buffer.from('\0\0\0\x08acTL', 'latin1'),
    Buffer.alloc(12),
    Buffer.from('\0\0\0\0IDAT', 'latin1'),
  ])
  const pngWithProfile = Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR', 'latin1'),
    Buffer.alloc(17),
    Buffer.from('\0\x01\0\0iCCP', 'latin1'),
    Buffer.alloc(5000),
  ])

  test.each<[string, Buffer, string]>([
    ['an MP3 by its frames', mp3Sample(), 'audio/mpeg'],
    ['an MP3 behind a large ID3 tag', id3, 'audio/mpeg'],
    ['AAC in ADTS', aacSample(), 'audio/aac'],
    ['an M4A by its brand', Buffer.concat([box('ftyp', 'M4A \0\0\0\0'), box('moov', '')]), 'audio/mp4'],
    ['an MP4 by another brand', Buffer.concat([box('ftyp', 'iso5\0\0\0\0'), box('moov', '')]), 'video/mp4'],
    ['a phone video', Buffer.concat([box('ftyp', '3gp5\0\0\0\0'), box('moov', '')]), 'video/3gpp'],
    ['HEIC by its brand', Buffer.concat([box('ftyp', 'heic\0\0\0\0'), box('meta', '')]), 'image/heic'],
    ['HEIC by a generic brand', Buffer.concat([box('ftyp', 'mif1\0\0\0\0heic'), box('meta', '')]), 'image/heif'],
    ['FLAC', Buffer.from('fLaC\0\0\0\x22'), 'audio/flac'],
    ['AVI', Buffer.from('RIFF\x10\0\0\0AVI LIST', 'latin1'), 'video/x-msvideo'],
    ['a program stream', Buffer.from([0, 0, 1, 0xba, 0x44, 0, 4, 0, 4, 1]), 'video/mpeg'],
    ['an elementary stream', Buffer.from([0, 0, 1, 0xb3, 0x14, 0, 0xf0, 0x13]), 'video/mpeg'],
    ['a transport stream', transportStream(), 'video/mp2t'],
    ['a bitmap', bitmap, 'image/bmp'],
    ['JPEG XL', Buffer.from([0xff, 0x0a, 0, 0, 0, 0, 0, 0]), 'image/jxl'],
    ['an animated PNG', apng, 'image/apng'],
    ['a PNG whose colour profile fills the first bytes', head(pngWithProfile), 'image/png'],
    ['a GIF that is also a script', Buffer.from('GIF89a/*\0*/=1;alert(1)'), 'image/gif'],
  ])('%s', async (_, bytes, type) => expect(await sniff(bytes)).toBe(type))
})

function transportStream(): Buffer {
  const packet = Buffer.alloc(188)
  packet[0] = 0x47
  return Buffer.concat(new Array<Buffer>(5).fill(packet))
}

describe('what is not media is never called so', () => {
  test.each([
    '<!DOCTYPE html><html></html>',
    '<!doctype HTML>',
    '\n\t <HTML lang="en">',
    '\uFEFF<html>',
    '<!-- a comment --><html>',
    '<!-- a comment that is cut',
    '<script>alert(1)</script>',
    '<a href="x">x</a>',
    '<p>not found',
    '<body onload=alert(1)>',
    '<iframe src=x>',
    '<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0"><html xmlns="http://www.w3.org/1999/xhtml">',
    '<html>\0\0\x01 binary rest',
  ])('a web page: %j', async (value) => expect(await text(value)).toBe('text/html'))

  test.each([
    '<svg xmlns="http://www.w3.org/2000/svg"/>',
    '<?xml version="1.0"?>\n<svg>',
    '\uFEFF<?xml version="1.0"?><!-- made by hand --><!-- twice -->\n<svg width="1">',
    '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd"><svg>',
    '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "b">]><s:svg xmlns:s="http://www.w3.org/2000/svg">',
    '<!-- first --><svg onload="alert(1)">',
  ])('an SVG: %j', async (value) => {
    expect(await text(value)).toBe('image/svg+xml')
    expect(kindOf(await text(value))).toBe('other')
  })

  test.each<[string, string]>([
    ['<?xml version="1.0"?><rss/>', 'application/xml'],
    ['#!/bin/sh\nrm -rf /', 'text/plain'],
    ['#!/usr/bin/env node\n\0\x01', 'text/plain'],
    ['{"error":"not found"}', 'application/json'],
    ['[1, 2]', 'application/json'],
    ['{ "cut": "of', 'application/json'],
    ['BMW is a car, and this is a text about it', 'text/plain'],
    ['ID3 is a tag', 'text/plain'],
    ['MZ', 'text/plain'],
    ['II* is not a picture', 'text/plain'],
    ['RIFF is a format', 'application/octet-stream'],
    ['{hello}', 'text/plain'],
    ['grüße', 'text/plain'],
    ['%PDF-1.7\n', 'application/pdf'],
    ['x', 'text/plain'],
    ['', 'application/octet-stream'],
  ])('%j is %s', async (value, type) => expect(await text(value)).toBe(type))

  test('UTF-16 is read as text', async () => {
    expect(await sniff(utf16('<html><script>'))).toBe('text/html')
    expect(await sniff(utf16('hello, world'))).toBe('text/plain')
    expect(await sniff(Buffer.from(utf16('<svg>')).swap16())).toBe('image/svg+xml')
  })

  test('Latin-1 text is text', async () => {
    expect(await sniff(Buffer.from('gr\xfc\xdfe aus K\xf6ln', 'latin1'))).toBe('text/plain')
  })

  test.each<[string, number[] | string, string]>([
    ['a picture behind a byte order mark', '\xef\xbb\xbf\x89PNG\r\n\x1a\n\0', 'application/octet-stream'],
    ['three letters of a GIF', 'GIF\0\0\0\0\0\0', 'application/octet-stream'],
    ['two letters of a bitmap', 'BM\0\x01\x02\x03\x04\x05\x06\x07\x08', 'application/octet-stream'],
    ['a program', 'MZ\x90\0\x03\0\0\0', 'application/x-msdownload'],
    ['an archive', 'PK\x03\x04\x14\0\0\0\x08\0', 'application/zip'],
    ['gzip', '\x1f\x8b\x08\0\0\0', 'application/gzip'],
    ['noise', '\x01\x02\x03\x04\x05\x06\x07\x08', 'application/octet-stream'],
    ['one byte', '\x01', 'application/octet-stream'],
  ])('%s', async (_, bytes, type) => {
    expect(await sniff(Buffer.from(bytes as string, 'latin1'))).toBe(type)
  })

  test('any text with a page or a script in front is never media', async () => {
    const start = fc.constantFrom(
      '<html>',
      '<!doctype html>',
      '<svg>',
      '<script>',
      '#!/bin/sh\n',
      '<?xml version="1.0"?>',
    )
    await fc.assert(
      fc.asyncProperty(start, fc.uint8Array({ maxLength: 300 }), async (first, rest) => {
        expect(kindOf(await sniff(Buffer.concat([Buffer.from(first), rest])))).toBe('other')
      }),
    )
  })

  test('no bytes at all make it fail', async () => {
    const magic = fc.constantFrom(
      '',
      'PK\x03\x04',
      'RIFF',
      '\x89PNG\r\n\x1a\n',
      'OggS',
      'ID3\x03',
      '\x1a\x45\xdf\xa3',
      'II*\0',
    )
    await fc.assert(
      fc.asyncProperty(magic, fc.uint8Array({ maxLength: 600 }), async (first, rest) => {
        const type = await sniff(Buffer.concat([Buffer.from(first, 'latin1'), rest]))
        expect(type).toMatch(/^[a-z]+\/[a-z0-9.+-]+$/)
      }),
    )
  })
})

test('readHead gives the first bytes in one piece and keeps the chunks', async () => {
  async function* chunks() {
    for (const value of ['ab', '', 'cd', 'ef', 'gh']) yield Buffer.from(value)
  }
  const iterator = chunks()
  const { chunks: read, head: first } = await readHead(iterator, 5)
  expect(Buffer.from(first).toString()).toBe('abcde')
  expect(Buffer.concat(read).toString()).toBe('abcdef')
  expect(Buffer.from((await iterator.next()).value ?? []).toString()).toBe('gh')
  expect((await readHead(chunks(), 100)).head).toHaveLength(8)
})
