import { readFile } from 'node:fs/promises'
import type { CloudFrontConfig } from './config/index.ts'
import { CloudFrontSigner, type LinkSigner, readSigningKey } from './delivery/index.ts'
import { KeepsakeError } from './media/index.ts'

/**
 * What signs links to a CloudFront distribution. The key is read once, here: a wrong one stops the start.
 *
 * @throws {KeepsakeError} `invalid_setting`
 */
export async function openCdn({ url, keyPairId, privateKey, hash }: CloudFrontConfig): Promise<LinkSigner> {
  const pem = 'text' in privateKey ? privateKey.text.reveal() : await readPem(privateKey.file)
  return new CloudFrontSigner({ url, keyPairId, hash, privateKey: readSigningKey(pem) })
}

function readPem(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new KeepsakeError(
      'invalid_setting',
      `The private key for CloudFront cannot be read from ${file} (${error.code}). ` +
        'KEEPSAKE_CLOUDFRONT_PRIVATE_KEY_FILE names a file that this user may read.',
    )
  })
}
