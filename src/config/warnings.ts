import { aliases } from './aliases.ts'
import { type Environment, settingNames } from './environment.ts'
import type { ResolvedConfig, S3Config } from './resolved-config.ts'

/** What is allowed and yet looks wrong. `KEEPSAKE_URL` is the command line's, for the server it talks to. */
export function findWarnings(config: ResolvedConfig, env: Environment): string[] {
  const warnings: string[] = []
  if (config.fallback && config.objectStore.kind === 'embedded') {
    warnings.push('KEEPSAKE_FALLBACK has no effect: without a bucket there is nothing to fall back from.')
  } else if (config.fallback?.publicEndpoint === null && !isLoopback(config.http.host)) {
    warnings.push(
      'KEEPSAKE_FALLBACK_PUBLIC_ENDPOINT is not set: links to what fell back, and uploads meanwhile, only work on this machine.',
    )
  }
  const { objectStore, replica } = config
  if (objectStore.kind === 's3') warnings.push(...unknownEnd(objectStore, 'AWS_CREDENTIAL_EXPIRATION'))
  if (replica && (objectStore.kind !== 's3' || replica.credentials !== objectStore.credentials)) {
    warnings.push(...unknownEnd(replica, 'KEEPSAKE_REPLICA_CREDENTIAL_EXPIRATION'))
  }
  const keys = config.http.jwt?.keys
  if (keys && 'secret' in keys && Buffer.byteLength(keys.secret.reveal()) < 32) {
    warnings.push('KEEPSAKE_JWT_SECRET has fewer than 32 bytes, which HS256 asks for (RFC 7518, section 3.2).')
  }
  if (keys && 'jwksUrl' in keys && !isBeyondReach(new URL(keys.jwksUrl))) {
    warnings.push(
      'KEEPSAKE_JWKS_URL is plain http: whoever sits between can hand out keys of his own and sign in as anybody. Use https.',
    )
  }
  for (const name of Object.keys(env)) {
    if (
      !name.startsWith('KEEPSAKE_') ||
      /^KEEPSAKE_(URL$|TEST_)/.test(name) ||
      settingNames.includes(name) ||
      Object.hasOwn(aliases, name)
    )
      continue
    warnings.push(`${name} is not a setting of Keepsake.`)
  }
  return warnings
}

function unknownEnd({ bucket, credentials }: S3Config, setting: string): string[] {
  if (!credentials?.sessionToken || credentials.expiration) return []
  return [
    `${setting} is not set, but a session token is: a link to s3://${bucket} may end before the time it tells, with the ` +
      'token. Set it, or let AWS_PROFILE or a role give the credentials.',
  ]
}

/** Https, or this very machine: nobody sits between. */
function isBeyondReach({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || isLoopback(hostname)
}

function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[?::1\]?)$/.test(host)
}
