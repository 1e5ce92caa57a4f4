import { resolve } from 'node:path'
import type { ParsedConfig } from './keepsake-config.ts'
import type { Problems } from './problems.ts'
import type { CloudFrontConfig } from './resolved-config.ts'
import { Secret } from './secret.ts'

type Pick = <T>(read: (layer: ParsedConfig) => T | undefined) => T | undefined

/** The id and the key go together, from one source: a key signs for its own id alone. */
export function resolveCloudFront(pick: Pick, cwd: string, problems: Problems): CloudFrontConfig | null {
  const given = <T>(read: (cloudfront: Settings) => T | undefined) => pick((layer) => of(layer, read))
  const identity = given((one) =>
    (one.keyPairId ?? one.privateKey ?? one.privateKeyFile) === undefined ? undefined : one,
  )
  const domain = given((one) => one.domain)
  if (identity === undefined && domain === undefined) return null
  const { keyPairId, privateKey, privateKeyFile } = identity ?? {}
  const url = domain ?? httpsOrigin(pick((layer) => layer.s3?.baseUrl))
  const missing = [
    ...(keyPairId === undefined ? ['KEEPSAKE_CLOUDFRONT_KEY_PAIR_ID'] : []),
    ...(privateKey === undefined && privateKeyFile === undefined ? ['KEEPSAKE_CLOUDFRONT_PRIVATE_KEY'] : []),
    ...(url === undefined ? ['KEEPSAKE_CLOUDFRONT_DOMAIN'] : []),
  ]
  for (const name of missing) {
    problems.add(
      name,
      `${name} is not set, and other settings of CloudFront are. Links are signed by the domain of a distribution, ` +
        'the id of a public key and its private key (KEEPSAKE_CLOUDFRONT_PRIVATE_KEY, or its file): set all of them, or none.',
    )
  }
  if (privateKey !== undefined && privateKeyFile !== undefined) {
    problems.add(
      'KEEPSAKE_CLOUDFRONT_PRIVATE_KEY',
      'KEEPSAKE_CLOUDFRONT_PRIVATE_KEY and KEEPSAKE_CLOUDFRONT_PRIVATE_KEY_FILE are both set. Unset one of them.',
    )
  }
  if (missing.length > 0 || url === undefined || keyPairId === undefined) return null
  return {
    url,
    keyPairId,
    privateKey:
      privateKeyFile === undefined ? { text: new Secret(privateKey ?? '') } : { file: resolve(cwd, privateKeyFile) },
    hash: given((one) => one.hash) ?? 'sha256',
  }
}

type Settings = NonNullable<NonNullable<ParsedConfig['delivery']>['cloudfront']>

function of<T>({ delivery }: ParsedConfig, read: (cloudfront: Settings) => T | undefined): T | undefined {
  return delivery?.cloudfront && read(delivery.cloudfront)
}

/** A base URL with a path is no distribution of its own. */
function httpsOrigin(baseUrl: string | undefined): string | undefined {
  const url = baseUrl === undefined ? null : URL.parse(baseUrl)
  return url?.protocol === 'https:' && url.pathname === '/' ? url.origin : undefined
}
