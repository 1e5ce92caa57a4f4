import { describe, expect, test } from 'vitest'
import { S3Error } from './errors.ts'
import { parseXml } from './xml.ts'

describe('how much of a document is read', () => {
  test('a completion of ten thousand parts, each with every checksum, on lines of their own', () => {
    const sums = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256', 'MD5']
    const lines = sums.map((name) => `<Checksum${name}>AAAA</Checksum${name}>\n`).join('')
    const part = `<Part>\n<PartNumber>1</PartNumber>\n<ETag>&quot;a&quot;</ETag>\n${lines}</Part>\n`
    const root = parseXml(`<CompleteMultipartUpload>\n${part.repeat(10_000)}</CompleteMultipartUpload>`)
    expect([root.children.length, root.children.at(-1)?.children.length]).toEqual([10_000, 8])
  })

  test.each(['<a/>', '<!-- -->', '<?x?>'])('%s without end is refused: it holds up everybody else', (text) => {
    expect(() => parseXml(`<Delete>${text.repeat(400_000)}</Delete>`)).toThrow(S3Error)
  })
})
