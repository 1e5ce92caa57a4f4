import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseKeysPage, parseListPage } from './list.ts'
import { escapeXml } from './xml.ts'

const contents = (key: string, more = '') =>
  `<Contents><Key>${key}</Key><LastModified>2026-11-20T12:00:00.000Z</LastModified><ETag>&quot;abc&quot;</ETag><Size>5</Size>${more}</Contents>`
const page = (inside: string) =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>${inside}</ListBucketResult>`
const object = { size: 5, etag: '"abc"', lastModified: new Date('2026-11-20T12:00:00Z') }

describe('a page of a list', () => {
  it('is read with elements that we do not know, namespaces, comments and CDATA', () => {
    const owner = '<Owner><ID>1</ID><DisplayName>Key</DisplayName></Owner><ChecksumAlgorithm>SHA256</ChecksumAlgorithm>'
    const xml = page(
      `<!-- <Contents> --><New a=">"/>${contents('a', owner)}${contents('<![CDATA[<b>]]>')}<IsTruncated>false</IsTruncated>`,
    )
    expect(parseListPage(xml.replace('<New a=">"/>', '<New a="b"/>'))).toEqual({
      objects: [
        { key: 'a', ...object },
        { key: '<b>', ...object },
      ],
      nextToken: undefined,
    })
  })

  it('gives every key back, by URL encoding or by XML alone', () => {
    const key = fc.string({ minLength: 1, unit: 'binary' }).filter((text) => text.isWellFormed())
    const inXml = fc.string({ minLength: 1, unit: 'grapheme' })
    fc.assert(
      fc.property(key, inXml, (encoded, escaped) => {
        const formEncoded = new URLSearchParams([['', encoded]]).toString().slice(1)
        const byUrl = page(
          `<EncodingType>url</EncodingType>${contents(formEncoded)}${contents(encodeURIComponent(encoded))}`,
        )
        expect(parseListPage(byUrl).objects.map(({ key }) => key)).toEqual([encoded, encoded])
        expect(parseKeysPage(byUrl).key(1)).toBe(encoded)
        expect(parseListPage(page(contents(escapeXml(escaped)))).objects[0]?.key).toBe(escaped)
      }),
    )
  })

  it('is read alike whether its entries are plain or not', () => {
    const entry = fc
      .record({
        key: fc.string({ minLength: 1, unit: 'grapheme' }),
        more: fc.constantFrom('', '<Owner><ID>1</ID></Owner>', '<StorageClass>STANDARD</StorageClass>', '<New/>', ' '),
        between: fc.constantFrom('', '', '\n', '<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>'),
      })
      .map(({ key, more, between }) => contents(escapeXml(key), more) + between)
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 5 }), (entries) => {
        // A comment makes the whole of it be read as XML.
        const carefully = parseListPage(page(`<!-- -->${entries.join('')}`))
        expect(parseListPage(page(entries.join('')))).toEqual(carefully)
        const keys = parseKeysPage(page(entries.join('')))
        expect(carefully.objects.map((_, index) => [keys.key(index), keys.size(index)])).toEqual(
          carefully.objects.map(({ key, size }) => [key, size]),
        )
        expect(keys.length).toBe(entries.length)
      }),
    )
  })

  it('reads spaces and plus signs as S3 writes them', () => {
    const xml = page(`<EncodingType>url</EncodingType>${contents('a+b%2Bc%20d')}${contents('x%2By')}`)
    expect(parseListPage(xml).objects.map(({ key }) => key)).toEqual(['a b+c d', 'x+y'])
    expect(parseListPage(page(contents('a+b'))).objects[0]?.key).toBe('a+b')
  })

  it('names the next one', () => {
    const xml = page('<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b=</NextContinuationToken>')
    expect(parseListPage(xml)).toEqual({ objects: [], nextToken: 'a&b=' })
  })

  it.each([
    ['cut off', page(contents('a')).slice(0, -30)],
    ['empty', ''],
    ['a page for people', '<!DOCTYPE html><html><body>Welcome</body></html>'],
    ['something else', '<Error><Code>SlowDown</Code></Error>'],
    ['crossed', '<ListBucketResult><Name></ListBucketResult></Name>'],
    ['with an entry without a size', page('<Contents><Key>a</Key></Contents>')],
    ['with a size that is none', page(contents('a').replace('<Size>5', '<Size>-5'))],
    ['with a date that is none', page(contents('a').replace('2026-11-20T', 'yesterday'))],
    ['with broken URL encoding', page(`<EncodingType>url</EncodingType>${contents('%zz')}`)],
    ['going on without a token', page('<IsTruncated>true</IsTruncated>')],
  ])('is refused when it is %s', (_, xml) => {
    expect(() => parseListPage(xml)).toThrow(expect.objectContaining({ code: 'store_unavailable' }))
    if (!xml.includes('yesterday')) {
      expect(() => parseKeysPage(xml)).toThrow(expect.objectContaining({ code: 'store_unavailable' }))
    }
  })

  it('never takes time or memory out of proportion, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('<', '>', '/', '!', '&', ';', 'a', '<a>', '</a>', '<![CDATA[', ']]>')),
        (parts) => {
          try {
            parseListPage(parts.join(''))
          } catch (error) {
            expect(error).toMatchObject({ code: 'store_unavailable' })
          }
        },
      ),
    )
  })
})
