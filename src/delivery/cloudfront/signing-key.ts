import { createPrivateKey, type KeyObject } from 'node:crypto'
import { KeepsakeError } from '../../media/index.ts'

/**
 * Reads the private key that CloudFront knows the public half of, in PEM. A text from an environment variable may have
 * `\n` for its line breaks.
 *
 * "SSH-2 RSA 2048 or ECDSA 256 key pair", in PEM
 * (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-trusted-signers.html).
 *
 * @throws {KeepsakeError} `invalid_setting`, which never holds any of the text.
 */
export function readSigningKey(pem: string): KeyObject {
  const text = pem.replaceAll('\\n', '\n').trim()
  const key = parse(text)
  const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = key
  if (type === 'rsa' && details.modulusLength === 2048) return key
  if (type === 'ec' && details.namedCurve === 'prime256v1') return key
  const seen = [type, details.modulusLength ?? details.namedCurve].filter((part) => part !== undefined).join(' ')
  throw refused(
    `is of the kind ${seen}, which CloudFront does not take. Make one by ` +
      '`openssl ecparam -name prime256v1 -genkey -noout` or `openssl genrsa 2048`.',
  )
}

function parse(text: string): KeyObject {
  if (/-----BEGIN (RSA |EC )?PUBLIC KEY-----/.test(text)) {
    throw refused('is the public half, which CloudFront has. Here the private one is needed.')
  }
  if (/ENCRYPTED/.test(text)) throw refused('is encrypted. Take its passphrase off: `openssl pkey -in key.pem`.')
  try {
    return createPrivateKey(text)
  } catch {
    // Without a cause: what OpenSSL says of it is of no use to whoever reads, and the text must not come near a log.
    throw refused('is no private key in PEM, which begins with -----BEGIN PRIVATE KEY----- or the like.')
  }
}

function refused(why: string): KeepsakeError {
  return new KeepsakeError('invalid_setting', `The private key for CloudFront ${why}`)
}
