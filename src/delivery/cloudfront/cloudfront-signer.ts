import { type KeyObject, sign } from 'node:crypto'
import { encodeKey, encodeRfc3986, type SignedUrl, type SignGetOptions } from '../../stores/index.ts'
import { Remembered } from './remembered.ts'

export type CloudFrontOptions = {
  /** The distribution's address, without a slash at its end: `https://media.example.com`. */
  readonly url: string
  /** The id that CloudFront gave to the public key. */
  readonly keyPairId: string
  readonly privateKey: KeyObject
  /** What the policy is hashed by. Default: sha256. */
  readonly hash?: 'sha256' | 'sha1'
}

/** Links that are kept while they are the same: some megabytes of memory against half a millisecond each by RSA. */
const remembered = 16_384

/**
 * Signs links to a CloudFront distribution by a canned policy: one URL, one end. Synchronous and local, as the store's
 * own signer, in whose place it stands.
 *
 * A canned policy always suffices. What a custom one adds are a beginning, an address of the reader and wildcards; the
 * first two no link has, and a resource is one URL: `*` in a key is percent-encoded.
 *
 * By RSA a link is the same wherever it is signed. An ECDSA signature has a random number in it, so there a link stays
 * the same in one process, for as long as it is remembered.
 *
 * @see https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-canned-policy.html
 */
export class CloudFrontSigner {
  readonly #url: string
  readonly #privateKey: KeyObject
  readonly #hash: 'sha256' | 'sha1'
  /** What follows the signature. */
  readonly #end: string
  readonly #known = new Remembered<SignedUrl>(remembered)

  constructor({ url, keyPairId, privateKey, hash = 'sha256' }: CloudFrontOptions) {
    this.#url = url
    this.#privateKey = privateKey
    this.#hash = hash
    // "When you use SHA-256, include the Hash-Algorithm=SHA256 query parameter"; without it SHA-1 is meant.
    this.#end = `&Key-Pair-Id=${encodeRfc3986(keyPairId)}${hash === 'sha256' ? '&Hash-Algorithm=SHA256' : ''}`
  }

  /** A link that reads an object until the second `expiresIn` after `at`. */
  signGet(key: string, { expiresIn, at, response }: SignGetOptions): SignedUrl {
    const expires = Math.floor((at?.getTime() ?? Date.now()) / 1000) + expiresIn
    const query = queryOf(response)
    const resource = `${this.#url}/${encodeKey(key)}${query === '' ? '' : `?${query}`}`
    return this.#known.get(`${expires} ${resource}`, () => {
      const end = `Expires=${expires}&Signature=${this.#sign(resource, expires)}${this.#end}`
      return { url: `${resource}${query === '' ? '?' : '&'}${end}`, expiresAt: new Date(expires * 1000) }
    })
  }

  #sign(resource: string, expires: number): string {
    const policy = cannedPolicy(resource, expires)
    return urlSafe(sign(this.#hash, Buffer.from(policy), this.#privateKey).toString('base64'))
  }
}

/** To the letter: CloudFront makes it anew from the URL that it is asked for, and no space may be in it. */
export function cannedPolicy(resource: string, expires: number): string {
  return `{"Statement":[{"Resource":${JSON.stringify(resource)},"Condition":{"DateLessThan":{"AWS:EpochTime":${expires}}}}]}`
}

/** "Replace characters that aren't valid in a URL query string": CloudFront's alphabet is not base64url. */
function urlSafe(base64: string): string {
  return base64.replace(/[+=/]/g, (character) => (character === '+' ? '-' : character === '=' ? '_' : '~'))
}

/** The overrides of response headers are S3's; the distribution hands them on, and they are part of what is signed. */
function queryOf(response: SignGetOptions['response']): string {
  return [
    ['response-cache-control', response?.cacheControl],
    ['response-content-disposition', response?.contentDisposition],
    ['response-content-type', response?.contentType],
  ]
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${encodeRfc3986(value)}`]))
    .join('&')
}
