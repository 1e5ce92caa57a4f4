import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import { S3Error } from './errors.ts'
import { queryValue, type S3Request } from './request.ts'
import {
  ALGORITHM,
  type CredentialScope,
  canonicalRequest,
  SigningKeys,
  scopeText,
  sign,
  stringToSign,
} from './sigv4.ts'

export type Credentials = { readonly accessKeyId: string; readonly secretAccessKey: string }

/** Who sent a request, as far as this server can tell: the holder of its one secret, or anybody. */
export type Identity = 'owner' | 'anonymous'

/** A request whose signature was right, or that had none. */
export type Authentication = {
  readonly identity: Identity
  /** The payload hash that is inside the signature: a SHA-256, UNSIGNED-PAYLOAD or STREAMING-… */
  readonly payloadHash: string
  /** What is needed to verify signed chunks; nothing without a signature. */
  readonly seed: ChunkSeed | undefined
}

export type ChunkSeed = {
  readonly timestamp: string
  readonly scope: string
  readonly signature: string
  readonly signingKey: KeyObject
}

const MAX_SKEW = 15 * 60_000
const MAX_EXPIRES = 604_800

/** Decides whether a request was signed by the holder of the secret. What anonymous ones may do is for others to say. */
export class Authenticator {
  readonly #accessKeyId: string
  readonly #region: string
  readonly #keys: SigningKeys
  readonly #secret: string
  readonly #legacyForms: boolean

  constructor(credentials: Credentials, region: string, legacyForms: boolean) {
    this.#secret = credentials.secretAccessKey
    this.#legacyForms = legacyForms
    this.#accessKeyId = credentials.accessKeyId
    this.#region = region
    this.#keys = new SigningKeys(credentials.secretAccessKey)
  }

  /** Throws what S3 answers to a request that is not, not well, or no longer signed. */
  authenticate(request: S3Request, now = Date.now()): Authentication {
    const header = request.headers.get('authorization')
    const inQuery = request.query.some(({ name }) => name === 'X-Amz-Algorithm' || name === 'X-Amz-Signature')
    if (header !== undefined && inQuery) {
      throw new S3Error(
        'InvalidArgument',
        'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified',
        { ArgumentName: 'Authorization' },
      )
    }
    if (inQuery) return this.#fromQuery(request, now)
    if (header !== undefined) return this.#fromHeader(request, header, now)
    if (queryValue(request, 'AWSAccessKeyId') !== undefined) throw unsupportedMechanism()
    const payloadHash = request.headers.get('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD'
    return { identity: 'anonymous', payloadHash, seed: undefined }
  }

  /** Verifies the policy of a form (a browser's upload): its Base64, signed as it is. Throws when it is not so. */
  verifyForm(fields: FormSignature): void {
    const { accessKeyId, scope } = this.#credential(
      fields.credential,
      (reason) => new S3Error('InvalidArgument', `Error parsing x-amz-credential; ${reason}`),
    )
    if (fields.algorithm !== ALGORITHM) throw new S3Error('InvalidArgument', `x-amz-algorithm must be ${ALGORITHM}`)
    if (parseTimestamp(fields.date) === undefined || scope.date !== fields.date.slice(0, 8)) {
      throw new S3Error('AccessDenied', 'Invalid according to Policy: x-amz-date is no such time')
    }
    if (accessKeyId !== this.#accessKeyId) {
      throw new S3Error('InvalidAccessKeyId', undefined, { AWSAccessKeyId: accessKeyId })
    }
    if (!sameText(sign(this.#keys.get(scope), fields.policy), fields.signature)) {
      throw new S3Error('SignatureDoesNotMatch', undefined, {
        AWSAccessKeyId: accessKeyId,
        StringToSign: fields.policy,
      })
    }
  }

  /** The same for the form's old signature, which AWS takes for buckets from before June 2020 only. */
  verifyLegacyForm(fields: {
    readonly accessKeyId: string
    readonly policy: string
    readonly signature: string
  }): void {
    if (!this.#legacyForms) throw unsupportedMechanism()
    if (fields.accessKeyId !== this.#accessKeyId) {
      throw new S3Error('InvalidAccessKeyId', undefined, { AWSAccessKeyId: fields.accessKeyId })
    }
    const expected = createHmac('sha1', this.#secret).update(fields.policy).digest('base64')
    if (!sameText(expected, fields.signature)) throw new S3Error('SignatureDoesNotMatch')
  }

  #fromHeader(request: S3Request, header: string, now: number): Authentication {
    if (/^AWS [^\s]/.test(header)) throw unsupportedMechanism()
    if (!header.startsWith('AWS4-'))
      throw new S3Error('InvalidArgument', 'Unsupported Authorization Type', { ArgumentName: 'Authorization' })
    const fields = parseAuthorization(header)
    const malformed = (reason: string, details?: Record<string, string>) =>
      new S3Error('AuthorizationHeaderMalformed', `The authorization header is malformed; ${reason}`, details)
    const { accessKeyId, scope } = this.#credential(fields.credential, malformed)

    const timestamp = headerTimestamp(request)
    const time = timestamp === undefined ? undefined : parseTimestamp(timestamp)
    if (timestamp === undefined || time === undefined) {
      throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header')
    }
    if (scope.date !== timestamp.slice(0, 8)) throw malformed(wrongDate(scope, timestamp))
    if (Math.abs(time - now) > MAX_SKEW) {
      throw new S3Error('RequestTimeTooSkewed', undefined, {
        RequestTime: timestamp,
        ServerTime: seconds(now),
        MaxAllowedSkewMilliseconds: String(MAX_SKEW),
      })
    }
    const payloadHash = request.headers.get('x-amz-content-sha256')
    if (payloadHash === undefined) {
      throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256')
    }
    return this.#verify(request, { ...fields, accessKeyId, scope, timestamp, payloadHash, presigned: false })
  }

  #fromQuery(request: S3Request, now: number): Authentication {
    const refused = (message: string, details?: Record<string, string>) =>
      new S3Error('AuthorizationQueryParametersError', message, details)
    const parameter = (name: string) => {
      let value: string | undefined
      let times = 0
      for (const candidate of request.query) {
        if (candidate.name !== name) continue
        value ??= candidate.value
        times += 1
      }
      if (times > 1) throw refused(`The query parameter ${name} was given more than once`)
      if (value !== undefined && value !== '') return value
      throw refused(
        'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
      )
    }
    const algorithm = parameter('X-Amz-Algorithm')
    const credential = parameter('X-Amz-Credential')
    const signature = parameter('X-Amz-Signature')
    const timestamp = parameter('X-Amz-Date')
    const signedHeaders = parameter('X-Amz-SignedHeaders')
    const expires = parameter('X-Amz-Expires')
    if (algorithm !== ALGORITHM) throw refused(`X-Amz-Algorithm only supports "${ALGORITHM}"`)
    const { accessKeyId, scope } = this.#credential(credential, (reason, details) =>
      refused(`Error parsing the X-Amz-Credential parameter; ${reason}`, details),
    )
    const time = parseTimestamp(timestamp)
    if (time === undefined) throw refused("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    if (scope.date !== timestamp.slice(0, 8)) throw refused(wrongDate(scope, timestamp))
    const lifetime = parseExpires(expires, refused)
    if (time - now > MAX_SKEW) {
      throw new S3Error('AccessDenied', 'Request is not yet valid', {
        'X-Amz-Date': timestamp,
        ServerTime: seconds(now),
      })
    }
    const end = time + lifetime * 1000
    if (now > end) {
      throw new S3Error('AccessDenied', 'Request has expired', {
        'X-Amz-Expires': expires,
        Expires: seconds(end),
        ServerTime: seconds(now),
      })
    }
    const payloadHash =
      queryValue(request, 'X-Amz-Content-Sha256') ?? request.headers.get('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD'
    return this.#verify(request, {
      accessKeyId,
      scope,
      signature,
      timestamp,
      payloadHash,
      signedHeaders: splitSignedHeaders(signedHeaders),
      presigned: true,
    })
  }

  #credential(credential: string, refuse: (reason: string, details?: Record<string, string>) => S3Error) {
    const parts = credential.split('/')
    const [terminator, service, region, date] = parts.toReversed()
    const accessKeyId = parts.slice(0, -4).join('/')
    if (!terminator || !service || !region || !date || accessKeyId === '') {
      throw refuse('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
    }
    if (!/^\d{8}$/.test(date))
      throw refuse(`incorrect date format "${date}". This date must be in the format "yyyyMMdd".`)
    if (region !== this.#region) {
      throw refuse(`the region '${region}' is wrong; expecting '${this.#region}'`, { Region: this.#region })
    }
    if (service !== 's3') throw refuse(`incorrect service "${service}". This endpoint belongs to "s3".`)
    if (terminator !== 'aws4_request') {
      throw refuse(`incorrect terminal "${terminator}". This endpoint uses "aws4_request".`)
    }
    return { accessKeyId, scope: { date, region, service } }
  }

  #verify(request: S3Request, claim: Claim): Authentication {
    if (claim.accessKeyId !== this.#accessKeyId) {
      throw new S3Error('InvalidAccessKeyId', undefined, { AWSAccessKeyId: claim.accessKeyId })
    }
    requireSigned(request, claim)
    const query = claim.presigned ? request.query.filter(({ name }) => name !== 'X-Amz-Signature') : request.query
    const canonical = canonicalRequest({
      ...claim,
      method: request.method,
      path: request.path,
      query,
      headers: request.headers,
    })
    const toSign = stringToSign(claim.timestamp, claim.scope, canonical)
    const signingKey = this.#keys.get(claim.scope)
    if (!sameText(sign(signingKey, toSign), claim.signature)) {
      throw new S3Error('SignatureDoesNotMatch', undefined, {
        AWSAccessKeyId: claim.accessKeyId,
        StringToSign: toSign,
        CanonicalRequest: Buffer.from(canonical, 'latin1').toString(),
      })
    }
    // Only now: a token would make these someone else's credentials, and this server has issued none.
    if (request.headers.has('x-amz-security-token') || queryValue(request, 'X-Amz-Security-Token') !== undefined) {
      throw new S3Error('InvalidToken')
    }
    const { payloadHash, timestamp, signature } = claim
    const seed = { timestamp, scope: scopeText(claim.scope), signature, signingKey }
    return { identity: 'owner', payloadHash, seed }
  }
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html */
export type FormSignature = {
  readonly algorithm: string
  readonly credential: string
  readonly date: string
  readonly policy: string
  readonly signature: string
}

type Claim = {
  readonly accessKeyId: string
  readonly scope: CredentialScope
  readonly signature: string
  readonly timestamp: string
  readonly payloadHash: string
  readonly signedHeaders: readonly string[]
  readonly presigned: boolean
}

/** Whether two texts are equal, in a time that does not tell where they differ. */
export function sameText(expected: string, given: string): boolean {
  const a = Buffer.from(expected)
  const b = Buffer.from(given)
  return a.length === b.length && timingSafeEqual(a, b)
}

function parseAuthorization(header: string): { credential: string; signature: string; signedHeaders: string[] } {
  const malformed = (reason: string) =>
    new S3Error('AuthorizationHeaderMalformed', `The authorization header is malformed; ${reason}`)
  const space = header.indexOf(' ')
  const algorithm = space < 0 ? header : header.slice(0, space)
  if (algorithm !== ALGORITHM) throw malformed(`the algorithm must be ${ALGORITHM}.`)
  const fields = new Map<string, string>()
  for (const part of header.slice(algorithm.length).split(',')) {
    const equals = part.indexOf('=')
    const name = part.slice(0, Math.max(equals, 0)).trim()
    if (name === '' || fields.has(name)) throw malformed('expecting name=value pairs, each once, separated by commas.')
    fields.set(name, part.slice(equals + 1).trim())
  }
  const field = (name: string) => {
    const value = fields.get(name)
    if (value === undefined || value === '') throw malformed(`missing ${name}.`)
    return value
  }
  return {
    credential: field('Credential'),
    signature: field('Signature'),
    signedHeaders: splitSignedHeaders(field('SignedHeaders')),
  }
}

function splitSignedHeaders(text: string): string[] {
  return text.split(';').map((name) => name.toLowerCase())
}

/** "The CanonicalHeaders list must include … the host header … and any x-amz-* headers that are in the request." */
function requireSigned(request: S3Request, claim: Claim): void {
  const signed = new Set(claim.signedHeaders)
  const missing: string[] = signed.has('host') ? [] : ['host']
  for (const name of request.headers.keys()) {
    if (name.startsWith('x-amz-') && !signed.has(name)) missing.push(name)
  }
  if (missing.length > 0) {
    throw new S3Error('AccessDenied', 'There were headers present in the request which were not signed', {
      HeadersNotSigned: missing.join(', '),
    })
  }
}

function headerTimestamp(request: S3Request): string | undefined {
  const given = request.headers.get('x-amz-date')
  if (given !== undefined) return given
  const time = Date.parse(request.headers.get('date') ?? '')
  return Number.isNaN(time) ? undefined : seconds(time).replaceAll(/[-:]/g, '')
}

/** Milliseconds since 1970 of `YYYYMMDDTHHMMSSZ`; undefined when it is no such time. */
function parseTimestamp(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (match === null) return undefined
  const [, year, month, day, hour, minute, second] = match
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(time) ? undefined : time
}

function parseExpires(text: string, refused: (message: string) => S3Error): number {
  if (!/^[+-]?\d+$/.test(text)) throw refused('X-Amz-Expires should be a number')
  const value = Number(text)
  if (value < 0) throw refused('X-Amz-Expires must be non-negative')
  if (value > MAX_EXPIRES) {
    throw refused(
      'X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds',
    )
  }
  return value
}

function wrongDate(scope: CredentialScope, timestamp: string): string {
  return `Invalid credential date "${scope.date}". This date is not the same as X-Amz-Date: "${timestamp.slice(0, 8)}".`
}

function seconds(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`
}

function unsupportedMechanism(): S3Error {
  return new S3Error(
    'InvalidRequest',
    'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
  )
}
