import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { getSignedUrl } from '@aws-sdk/cloudfront-signer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { judge } from '../testing/cloudfront-judge.ts'
import { CloudFrontSigner } from './cloudfront-signer.ts'

const pairs = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ec: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
}
const kinds = ['rsa', 'ec'] as const
const hashes = ['sha256', 'sha1'] as const
type Kind = (typeof kinds)[number]
type Hash = (typeof hashes)[number]
const cases = kinds.flatMap((kind) => hashes.map((hash) => [kind, hash] as const))

const url = 'https://d111111abcdef8.cloudfront.net'
const keyPairId = 'K2JCJMDEHXQW5F'
const at = new Date('2026-11-20T18:45:00.000Z')

const signerOf = (kind: Kind, hash: Hash) =>
  new CloudFrontSigner({ url, keyPairId, privateKey: pairs[kind].privateKey, hash })
const pemOf = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString()

const cloudFront = (link: string, publicKey: KeyObject, now: Date) => judge(link, { publicKey, keyPairId, now })

const nasty = fc.constantFrom(
  ' ',
  '+',
  '%',
  '&',
  '=',
  '?',
  '#',
  '/',
  "'",
  '(',
  ')',
  '*',
  '!',
  '~',
  'ä',
  '漢',
  '😀',
  '"',
  '\\',
)
const key = fc
  .array(fc.oneof(fc.string({ minLength: 1, maxLength: 4 }), nasty), { minLength: 1, maxLength: 12 })
  .map((parts) => parts.join(''))
  // Dot segments and empty ones are resolved on the way, by every web client.
  .filter((text) => text.isWellFormed() && text.split('/').every((segment) => !/^\.{0,2}$/.test(segment)))
const life = fc.integer({ min: 1, max: 3600 })
const time = fc.date({ min: new Date('2020-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
const disposition = fc.option(
  fc.constantFrom('attachment', `attachment; filename="a b.png"; filename*=UTF-8''%F0%9F%A6%8A.png`),
  { nil: undefined },
)

describe.each(cases)('%s with %s', (kind, hash) => {
  const { publicKey, privateKey } = pairs[kind]
  const algorithm = hash === 'sha256' ? 'SHA256' : 'SHA1'

  it('opens at CloudFront until it ends, for any key and download', () => {
    const signer = signerOf(kind, hash)
    fc.assert(
      fc.property(key, life, time, disposition, (key, expiresIn, at, contentDisposition) => {
        const response = contentDisposition === undefined ? {} : { response: { contentDisposition } }
        const link = signer.signGet(key, { expiresIn, at, ...response })
        const end = Math.floor(at.getTime() / 1000) + expiresIn
        expect(link.expiresAt).toEqual(new Date(end * 1000))
        expect(cloudFront(link.url, publicKey, at)).toBe('opens')
        expect(cloudFront(link.url, publicKey, new Date(end * 1000))).toBe('denied')
        // Browsers send it as it stands: a link that they spell another way would be denied.
        expect(new URL(link.url).href).toBe(link.url)
        expect(decodeURIComponent(new URL(link.url).pathname)).toBe(`/${key}`)
      }),
      { numRuns: kind === 'rsa' ? 150 : 400 },
    )
  })

  it('is what the AWS SDK signs', () => {
    const signer = signerOf(kind, hash)
    fc.assert(
      fc.property(key, life, time, disposition, (key, expiresIn, at, contentDisposition) => {
        const response = contentDisposition === undefined ? {} : { response: { contentDisposition } }
        const ours = signer.signGet(key, { expiresIn, at, ...response })
        const plain = ours.url.slice(0, ours.url.indexOf('Expires=') - 1)
        // The SDK spells some characters of a URL anew; a resource that it leaves alone is one we can hold side by side.
        fc.pre(!/%(21|27|28|29|2A)/i.test(plain))
        const theirs = getSignedUrl({
          ...{ url: plain, keyPairId, privateKey: pemOf(privateKey), algorithm },
          dateLessThan: ours.expiresAt,
        })
        expect(cloudFront(sorted(theirs), publicKey, at)).toBe('opens')
        const without = (link: string) =>
          [...new URL(link).searchParams].filter(([name]) => name !== 'Signature').sort()
        expect(without(ours.url)).toEqual(without(theirs))
        // An ECDSA signature has a random number in it; those by RSA are the same, byte by byte.
        const signature = (link: string) => new URL(link).searchParams.get('Signature')
        if (kind === 'rsa') expect(signature(ours.url)).toBe(signature(theirs))
      }),
      { numRuns: 100 },
    )
  })

  it('is denied when anything in it was changed', () => {
    const response = { contentDisposition: 'attachment; filename="fox.png"' }
    const { url: link } = signerOf(kind, hash).signGet('avatars/fox.png', { expiresIn: 3600, at, response })
    const expires = /Expires=(\d+)/.exec(link)?.[1] ?? ''
    const changed = [
      link.replace('fox.png?', 'cat.png?'),
      link.replace('cloudfront.net', 'cloudfront.com'),
      link.replace('https:', 'http:'),
      link.replace(`Expires=${expires}`, `Expires=${Number(expires) + 1}`),
      link.replace('attachment', 'inline'),
      link.replace(/response-content-disposition=[^&]*&/, ''),
      link.replace(keyPairId, 'K3AAAAAAAAAAAA'),
      hash === 'sha256' ? link.replace('&Hash-Algorithm=SHA256', '') : `${link}&Hash-Algorithm=SHA256`,
      link.replace(/Signature=(.)/, (_, first) => `Signature=${first === 'A' ? 'B' : 'A'}`),
    ]
    expect(cloudFront(link, publicKey, at)).toBe('opens')
    for (const other of changed) {
      expect(other).not.toBe(link)
      expect(cloudFront(other, publicKey, at)).toBe('denied')
    }
    expect(cloudFront(link, generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey, at)).toBe('denied')
  })
})

/** The order of the signing parameters has no meaning; the judge above knows ours. */
function sorted(link: string): string {
  const signing = (name: string) => new RegExp(`[?&](${name}=[^&]*)`).exec(link)?.[1]
  const [resource = ''] = link.split(/[?&](?=Expires=|Key-Pair-Id=|Signature=|Hash-Algorithm=)/)
  const parts = ['Expires', 'Signature', 'Key-Pair-Id', 'Hash-Algorithm'].map(signing)
  return `${resource}${resource.includes('?') ? '&' : '?'}${parts.filter((part) => part !== undefined).join('&')}`
}

describe('what stays the same', () => {
  it.each(kinds)('a link by %s, as long as its end does', (kind) => {
    const signer = signerOf(kind, 'sha256')
    const first = signer.signGet('a.png', { expiresIn: 3600, at })
    expect(signer.signGet('a.png', { expiresIn: 3600, at })).toEqual(first)
    expect(signer.signGet('a.png', { expiresIn: 3599, at }).url).not.toBe(first.url)
    expect(signer.signGet('b.png', { expiresIn: 3600, at }).url).not.toBe(first.url)
  })

  it('a link by RSA in every process', () => {
    const one = signerOf('rsa', 'sha256').signGet('a.png', { expiresIn: 60, at })
    expect(signerOf('rsa', 'sha256').signGet('a.png', { expiresIn: 60, at })).toEqual(one)
  })
})
