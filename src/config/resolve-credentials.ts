import type { ParsedConfig } from './keepsake-config.ts'
import type { S3Config } from './resolved-config.ts'
import { Secret } from './secret.ts'

type Given = NonNullable<NonNullable<ParsedConfig['s3']>['credentials']>

/** An access key as it was given, with its secrets wrapped. */
export function resolveCredentials(given: Given): NonNullable<S3Config['credentials']> {
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = given
  return {
    accessKeyId,
    secretAccessKey: new Secret(secretAccessKey),
    sessionToken: sessionToken === undefined ? null : new Secret(sessionToken),
    expiration: expiration ?? null,
  }
}
