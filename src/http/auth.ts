import { createHash, timingSafeEqual } from 'node:crypto'
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose'
import type { Actor } from '../catalogue/index.ts'
import { defaultOwner } from '../intake/index.ts'
import { KeepsakeError } from '../media/index.ts'

export type JwtSettings = {
  /** Whose keys sign: one shared secret (HS256), or a JWKS address (RS256, ES256). Never both. */
  readonly keys: { readonly secret: string } | { readonly jwksUrl: string }
  /** Default: `authenticated`. */
  readonly audience?: string
  /** Not checked where it is not set. */
  readonly issuer?: string
}

export type AuthSettings = {
  /** Each one acts as the service: any owner. */
  readonly apiKeys: readonly string[]
  /** Users, each acting for one owner: the token's `sub`. */
  readonly jwt?: JwtSettings
}

/** Who asks, by what another app knows of its users: one owner, the service (any owner), or nobody. */
export type Authorize = (
  request: Request,
) => Promise<AuthorizedCaller | null | undefined> | AuthorizedCaller | null | undefined

export type AuthorizedCaller = { readonly owner: string } | { readonly service: true }

/** Seconds by which the clocks of signer and server may differ. */
const clockTolerance = 5
const jwksDeadline = 5_000
const jwksCooldown = 30_000
const maxOwnerLength = 256

/** Tells from a request's Authorization header who acts. */
export type Authenticate = (authorization: string | undefined, requestId: string) => Promise<Actor>

/**
 * @throws {KeepsakeError} `unauthenticated`; `identity_unavailable` where the keys that sign tokens cannot be had.
 */
export function createAuthenticator(settings: AuthSettings): Authenticate {
  const keyDigests = settings.apiKeys.filter((key) => key !== '').map(digest)
  const verify = settings.jwt === undefined ? undefined : createVerifier(settings.jwt)

  return async (authorization, requestId) => {
    const token = bearerToken(authorization)
    const tokenDigest = digest(token)
    // Every key is compared, and all of it, so that time tells nothing (CWE-208).
    const known = keyDigests.filter((key) => timingSafeEqual(key, tokenDigest)).length > 0
    if (known) return { role: 'service', requestId }
    if (verify === undefined || token.split('.').length !== 3) throw refused('The API key or token is not known.')
    return { role: 'user', owner: ownerOf(await verify(token)), requestId }
  }
}

/**
 * The same for an app that knows its users itself.
 *
 * @throws {KeepsakeError} `unauthenticated`
 */
export async function authorizedBy(authorize: Authorize, request: Request, requestId: string): Promise<Actor> {
  const caller = await authorize(request)
  if (caller === null || caller === undefined) {
    throw new KeepsakeError('unauthenticated', 'Nobody is signed in.', { details: { credentials: 'missing' } })
  }
  if ('owner' in caller) return { role: 'user', owner: checkOwner(caller.owner, "The app's owner"), requestId }
  if (caller.service === true) return { role: 'service', requestId }
  throw new KeepsakeError('internal', 'authorize must answer { owner }, { service: true } or null.')
}

function digest(value: string): Buffer {
  return createHash('sha256').update(value).digest()
}

/** RFC 6750, section 2.1; the scheme's name has no case (RFC 9110, section 11.1). */
function bearerToken(authorization: string | undefined): string {
  if (authorization === undefined || authorization.trim() === '') {
    throw new KeepsakeError('unauthenticated', 'Send an API key or a JWT as: Authorization: Bearer <key>.', {
      details: { credentials: 'missing' },
    })
  }
  const token = /^bearer +(\S+)$/i.exec(authorization.trim())?.[1]
  if (token === undefined) throw refused('The Authorization header must have the form: Bearer <key>.')
  return token
}

function refused(message: string, cause?: unknown): KeepsakeError {
  return new KeepsakeError('unauthenticated', message, { details: { credentials: 'refused' }, cause })
}

function ownerOf(payload: JWTPayload): string {
  return checkOwner(payload.sub, "The token's 'sub'")
}

function checkOwner(owner: unknown, what: string): string {
  if (typeof owner !== 'string' || owner === '') throw refused(`${what} is missing; it names the owner.`)
  if (owner.length > maxOwnerLength || owner.includes('\0') || !owner.isWellFormed()) {
    throw refused(`${what} cannot be an owner: at most ${maxOwnerLength} characters of well-formed text.`)
  }
  if (owner === defaultOwner) {
    throw new KeepsakeError(
      'forbidden',
      `${what} is '${defaultOwner}', the owner of what a service keeps without naming one. It is nobody's.`,
    )
  }
  return owner
}

function createVerifier(settings: JwtSettings): (token: string) => Promise<JWTPayload> {
  // The algorithms are pinned by the kind of key: a public key can never be taken for an HMAC secret (RFC 8725, 3.1).
  const algorithms = 'secret' in settings.keys ? ['HS256'] : ['RS256', 'ES256']
  const getKey = keySource(settings.keys)
  const options = {
    algorithms,
    audience: settings.audience ?? 'authenticated',
    ...(settings.issuer === undefined ? {} : { issuer: settings.issuer }),
    requiredClaims: ['exp', 'sub'],
    clockTolerance,
  }
  return async (token) => {
    try {
      return (await jwtVerify(token, getKey, options)).payload
    } catch (error) {
      throw tokenError(error)
    }
  }
}

function keySource(keys: JwtSettings['keys']): JWTVerifyGetKey {
  if ('secret' in keys) {
    const secret = new TextEncoder().encode(keys.secret)
    return async () => secret
  }
  const remote = createRemoteJWKSet(new URL(keys.jwksUrl), {
    timeoutDuration: jwksDeadline,
    cooldownDuration: jwksCooldown,
  })
  return async (header, token) => {
    try {
      return await remote(header, token)
    } catch (error) {
      const tokenIsWrong = error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JOSENotSupported
      const ambiguous = error instanceof errors.JWKSMultipleMatchingKeys
      if (tokenIsWrong || ambiguous) throw error
      throw new KeepsakeError(
        'identity_unavailable',
        'The keys that sign tokens cannot be fetched now. Try again soon.',
        {
          retryAfter: 5,
          cause: error,
        },
      )
    }
  }
}

/** Says what is wrong with a token without showing any of it. */
function tokenError(error: unknown): KeepsakeError {
  if (error instanceof KeepsakeError) return error
  if (error instanceof errors.JWTExpired) return refused('The token has expired. Get a new one.', error)
  if (error instanceof errors.JWTClaimValidationFailed) {
    return refused(`The token's claim '${error.claim}' is missing or not accepted here.`, error)
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return refused("The token's algorithm is not accepted here.", error)
  if (error instanceof errors.JOSEError) return refused('The token is not valid.', error)
  // Node's crypto throws its own errors for keys and signatures that make no sense.
  return refused('The token cannot be verified.', error)
}
