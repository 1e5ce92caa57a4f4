import { type ErrorCode, type ErrorDetails, KeepsakeError } from '../../media/index.ts'
import { type Denial, readDenial } from './action.ts'
import { readXml } from './xml.ts'

/** What a failed request was about, for a message that helps. */
export type RequestContext = {
  readonly storeName: string
  readonly origin: string
  readonly bucket: string
  readonly region: string
  /** The permission it needs: `s3:PutObject`. */
  readonly action: string
  readonly key: string | undefined
}

/** What the answer told besides its code. */
type Found = {
  readonly denial: Denial
  /** Seconds that this machine's clock is ahead of the store's; negative: behind. */
  readonly skew: number | undefined
}

export type FailedResponse = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Empty for HEAD. */
  readonly text: string
}

type Rule = {
  readonly code: ErrorCode
  readonly say: (context: RequestContext, found: Found) => string
  readonly retryable?: boolean
}

const object = ({ key }: RequestContext) => (key === undefined ? 'the bucket' : `'${key}'`)
const place = ({ bucket, origin }: RequestContext) => `bucket '${bucket}' at ${origin}`

const missingBucket: Rule = {
  code: 'store_denied',
  say: (c) => `There is no ${place(c)}. Create it, or look at S3_BUCKET_NAME and S3_ENDPOINT.`,
}
const denied: Rule = {
  code: 'store_denied',
  say(c, { denial }) {
    const what = c.key === undefined ? place(c) : `${object(c)} in ${place(c)}`
    // AWS, GetObject, "If you don't have the s3:ListBucket permission": a 403 stands for a missing object too.
    const orMissing = denial.why === undefined && c.key !== undefined && c.action === 's3:GetObject'
    return (
      `The credentials may not do ${denial.action ?? c.action} on ${what}${denial.why ? `: ${denial.why}` : ''}. ` +
      "Allow it in their policy (keepsake bucket export iam prints one), and look for a Deny in the bucket's." +
      (orMissing ? ' Without s3:ListBucket, S3 says the same where there is no such object.' : '')
    )
  },
}
const mismatch: Rule = {
  code: 'content_mismatch',
  say: (c) =>
    `${c.storeName} got other bytes for ${object(c)} than announced, and wrote nothing. Send the content again.`,
}
const expired: Rule = {
  code: 'store_denied',
  say: () => 'The temporary credentials of the object store have expired. Sign in again, or look at their provider.',
}
const unknownKey: Rule = {
  code: 'store_denied',
  say: (c) => `The store at ${c.origin} does not know the access key. Look at AWS_ACCESS_KEY_ID and S3_ENDPOINT.`,
}
const busy: Rule = {
  code: 'store_unavailable',
  say: (c) => `${c.storeName} is failing or overloaded. Try again later.`,
  retryable: true,
}
const slowDown: Rule = {
  code: 'store_unavailable',
  say: (c) =>
    `${c.storeName} takes no more requests at this rate, also after a pause. Try again later, do less at a time, and spread the keys over more prefixes.`,
  retryable: true,
}
const conflict: Rule = {
  code: 'store_unavailable',
  say: (c) => `Another request was writing ${object(c)} at the same time. Try again.`,
  retryable: true,
}
const unsupported: Rule = {
  code: 'store_denied',
  say: (c) =>
    `The store at ${c.origin} does not offer what ${c.action} of ${object(c)} asked for. Look at S3_PROVIDER, and whether the store is recent enough.`,
}

/** AWS, "Error responses": S3's codes that a caller or an operator acts on. */
const rules: Readonly<Record<string, Rule>> = {
  NoSuchBucket: missingBucket,
  NoSuchKey: {
    code: 'object_missing',
    say: (c) => `There is no object ${object(c)} in ${c.storeName}.`,
    retryable: false,
  },
  NoSuchUpload: {
    code: 'object_missing',
    say: (c) =>
      `There is no such multipart upload of ${object(c)} in ${c.storeName}: it was completed, aborted or swept. Begin a new one.`,
    retryable: false,
  },
  InvalidPart: {
    code: 'invalid_request',
    say: (c) => `The parts that were named for ${object(c)} are not those that ${c.storeName} has. List its parts.`,
  },
  InvalidPartOrder: {
    code: 'invalid_request',
    say: (c) => `The parts of ${object(c)} are not named in the order of their numbers.`,
  },
  EntityTooSmall: {
    code: 'invalid_request',
    say: (c) => `A part of ${object(c)} other than the last has fewer than 5 MiB.`,
  },
  PreconditionFailed: {
    code: 'object_exists',
    say: (c) => `An object ${object(c)} exists in ${c.storeName}. It was not touched; ask with head what it is.`,
  },
  BadDigest: mismatch,
  InvalidDigest: mismatch,
  XAmzContentSHA256Mismatch: mismatch,
  XAmzContentChecksumMismatch: mismatch,
  EntityTooLarge: {
    code: 'content_too_large',
    say: (c) => `${object(c)} is larger than ${c.storeName} takes in one request.`,
  },
  KeyTooLongError: { code: 'invalid_request', say: () => 'The object key is too long. Allowed are 1024 bytes.' },
  InvalidRange: { code: 'invalid_request', say: (c) => `The range lies outside of ${object(c)}. Ask for less.` },
  AccessDenied: denied,
  AllAccessDisabled: denied,
  Forbidden: denied,
  InvalidAccessKeyId: unknownKey,
  // STS says it in its own words.
  InvalidClientTokenId: unknownKey,
  SignatureDoesNotMatch: {
    code: 'store_denied',
    say: (c) =>
      `The store at ${c.origin} refuses the signature. Look at AWS_SECRET_ACCESS_KEY, and at proxies that change requests.`,
  },
  ExpiredToken: expired,
  // Most often one that was left in the environment, beside keys that it does not belong to.
  InvalidToken: {
    code: 'store_denied',
    say: (c) =>
      `The store at ${c.origin} does not take the session token. Look at AWS_SESSION_TOKEN: it belongs to temporary keys, goes with no others, and ends with them.`,
  },
  ExpiredTokenException: expired,
  TokenRefreshRequired: expired,
  RequestTimeTooSkewed: {
    code: 'store_denied',
    say: (c, { skew }) =>
      skew === undefined
        ? `This machine's clock and that of ${c.origin} are too far apart. Set the clock.`
        : `This machine's clock is ${Math.abs(skew)} seconds ${skew < 0 ? 'behind' : 'ahead of'} that of ${c.origin}, and S3 takes 900. Set the clock.`,
  },
  ConditionalRequestConflict: conflict,
  OperationAborted: conflict,
  NotImplemented: unsupported,
  MethodNotAllowed: unsupported,
  IncompleteBody: busy,
  InternalError: busy,
  RequestTimeout: busy,
  ServiceUnavailable: busy,
  SlowDown: slowDown,
  TooManyRequests: slowDown,
  RequestLimitExceeded: slowDown,
}

/** The code of answers that have none, as HEAD never has one. */
const codeOfStatus: Readonly<Record<number, string>> = {
  301: 'PermanentRedirect',
  307: 'TemporaryRedirect',
  403: 'Forbidden',
  405: 'MethodNotAllowed',
  412: 'PreconditionFailed',
  416: 'InvalidRange',
  501: 'NotImplemented',
  503: 'ServiceUnavailable',
}

function wordlessCode({ key }: RequestContext, status: number): string {
  if (status === 404 && key === undefined) return 'NoSuchBucket'
  return codeOfStatus[status] ?? `Http${status}`
}

/** Whether S3 itself gave no code: to HEAD it never does. */
export function isWordless({ details: { s3Code } }: KeepsakeError): boolean {
  return s3Code === 'Forbidden' || /^Http\d+$/.test(String(s3Code))
}

/** An answer other than success, as the one error that callers get. */
export function failedResponse(context: RequestContext, response: FailedResponse): KeepsakeError {
  return failedAnswer(context, response, readErrorAnswer(response.text))
}

/** The same for an answer that somebody else has read. */
export function failedAnswer(
  context: RequestContext,
  { status, headers }: Omit<FailedResponse, 'text'>,
  answer: ErrorAnswer,
): KeepsakeError {
  const s3Code = answer.code ?? wordlessCode(context, status)
  const retryAfter = Number(headers['retry-after'] ?? Number.NaN)
  const date = Date.parse(headers.date ?? answer.serverTime ?? '')
  const skew = Number.isNaN(date) ? undefined : Math.round((Date.now() - date) / 1000)
  const options = { retryAfter: Number.isFinite(retryAfter) ? retryAfter : undefined, status, skew }
  const region = headers['x-amz-bucket-region'] ?? answer.region
  if (region && region !== context.region && /^[a-z0-9-]+$/.test(region) && [301, 307, 400].includes(status)) {
    const message = `The bucket '${context.bucket}' is in the region ${region}, not in ${context.region}. Set AWS_REGION=${region}. (${s3Code})`
    return build('store_denied', message, s3Code, { ...options, retryable: false })
  }
  return failureOf(context, s3Code, answer.message, options)
}

/** The error of one of S3's codes. `detail` is S3's own message, told only where no better sentence is known. */
export function failureOf(
  context: RequestContext,
  s3Code: string,
  detail: string | undefined,
  {
    status = 200,
    retryAfter,
    skew,
  }: { status?: number; retryAfter?: number | undefined; skew?: number | undefined } = {},
): KeepsakeError {
  const rule = Object.hasOwn(rules, s3Code) ? rules[s3Code] : ruleOfStatus(status)
  if (rule) {
    const denial = rule === denied ? readDenial(detail) : {}
    const message = `${rule.say(context, { denial, skew })} (${s3Code})`
    const details = {
      ...(rule === denied ? { action: denial.action ?? context.action } : {}),
      ...(s3Code === 'RequestTimeTooSkewed' && skew !== undefined ? { skewSeconds: skew } : {}),
    }
    return build(rule.code, message, s3Code, { status, retryAfter, retryable: rule.retryable ?? false, details })
  }
  const advice = [301, 302, 307, 308].includes(status)
    ? ' Look at S3_ENDPOINT and AWS_REGION.'
    : s3Code.startsWith('Http')
      ? ' It gave no reason, as S3 does: look at S3_ENDPOINT, and at proxies in between.'
      : ''
  const message = `The store at ${context.origin} refused ${context.action} of ${object(context)}: ${s3Code}${quote(detail)}.${advice}`
  return build('store_denied', message, s3Code, { status, retryAfter, retryable: false })
}

function ruleOfStatus(status: number): Rule | undefined {
  if (status === 429) return slowDown
  return status >= 500 ? busy : undefined
}

function build(
  code: ErrorCode,
  message: string,
  s3Code: string,
  options: { status: number; retryAfter?: number | undefined; retryable: boolean; details?: ErrorDetails },
): KeepsakeError {
  return new KeepsakeError(code, message, {
    details: { s3Code, httpStatus: options.status, ...options.details },
    retryable: options.retryable,
    ...(options.retryAfter === undefined ? {} : { retryAfter: options.retryAfter }),
  })
}

function quote(detail: string | undefined): string {
  const line = tellable(detail)
  return line === undefined ? '' : ` (${line})`
}

/**
 * Somebody else's message in one line without its full stop, where it may be shown. S3's repeat parts of requests;
 * nothing that looks like a signature or a URL may come through.
 */
export function tellable(detail: string | undefined): string | undefined {
  const line = detail?.replace(/\s+/g, ' ').trim().slice(0, 200).replace(/\.$/, '')
  return line && !/x-amz-|signature=|:\/\//i.test(line) ? line : undefined
}

export type ErrorAnswer = {
  code?: string | undefined
  message?: string | undefined
  region?: string | undefined
  serverTime?: string | undefined
}

function readErrorAnswer(text: string): ErrorAnswer {
  const answer: ErrorAnswer = {}
  if (text === '') return answer
  try {
    let root: string | undefined
    readXml(text, {
      open: (name) => {
        root ??= name
      },
      close: (name, value) => {
        if (root !== 'Error') return
        if (name === 'Code' && /^[A-Za-z0-9._-]{1,64}$/.test(value)) answer.code = value
        else if (name === 'Message') answer.message = value
        else if (name === 'Region') answer.region = value
        else if (name === 'ServerTime') answer.serverTime = value
      },
    })
  } catch {
    // A proxy's page or an answer cut off: the status alone decides.
    return {}
  }
  return answer
}

/** A connection that failed before an answer came, as the one error that callers get. */
export function failedConnection(context: RequestContext, error: unknown): KeepsakeError {
  if (error instanceof KeepsakeError) return error
  const code = codeOf(error)
  if (code === undefined) return KeepsakeError.from(error)
  const isSetting = hopeless.test(code)
  const why = reasons[code] ?? reasonOfKind(code)
  return new KeepsakeError('store_unavailable', `The object store at ${context.origin} ${why}`, {
    cause: error,
    details: { reason: code },
    retryable: !isSetting,
  })
}

const untrusted = /^(CERT_|ERR_TLS_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/
/** What no retry mends. */
const hopeless = new RegExp(`${untrusted.source}|^(ERR_SSL_|EPROTO$|HPE_)`)

function reasonOfKind(code: string): string {
  if (untrusted.test(code)) {
    return `has a certificate that is not trusted (${code}). Look at S3_ENDPOINT and NODE_EXTRA_CA_CERTS.`
  }
  if (code.startsWith('ERR_SSL_'))
    return `cannot agree on TLS (${code}). Look at S3_ENDPOINT and at proxies in between.`
  if (code.startsWith('HPE_')) {
    return `does not answer in HTTP (${code}). Look at S3_ENDPOINT: another service may listen there.`
  }
  return `broke the connection (${code}). Try again later.`
}

const reasons: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "has a certificate that has expired (CERT_HAS_EXPIRED). Renew it, or look at this machine's clock.",
  CERT_NOT_YET_VALID: "has a certificate that is not valid yet (CERT_NOT_YET_VALID). Look at this machine's clock.",
  ERR_TLS_CERT_ALTNAME_INVALID:
    'has a certificate for another name (ERR_TLS_CERT_ALTNAME_INVALID). Look at S3_ENDPOINT; where it is right, and the bucket stands before it, set S3_FORCE_PATH_STYLE=true.',
  ECONNREFUSED: 'refuses connections (ECONNREFUSED). Is it running? Look at S3_ENDPOINT.',
  ENOTFOUND: 'has a host name that does not resolve (ENOTFOUND). Look at S3_ENDPOINT and AWS_REGION.',
  EAI_AGAIN: 'has a host name that cannot be resolved now (EAI_AGAIN). Look at the DNS of this machine.',
  ERR_SSL_WRONG_VERSION_NUMBER:
    'does not speak TLS (ERR_SSL_WRONG_VERSION_NUMBER). Look at S3_ENDPOINT: it may want http:// instead of https://.',
  EPROTO: 'does not speak TLS as it should (EPROTO). Look at S3_ENDPOINT and at proxies in between.',
  UND_ERR_SOCKET:
    'closed the connection (UND_ERR_SOCKET). Try again later; if it stays, look at S3_ENDPOINT, which may want https:// instead of http://.',
  UND_ERR_CONNECT_TIMEOUT: 'does not answer connections in time. Look at S3_ENDPOINT and the network.',
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  if ('code' in error && typeof error.code === 'string') return error.code
  // undici's parser gives some of its errors no code.
  if (error.name === 'HTTPParserError') return 'HPE_INVALID'
  // A host with several addresses fails with one error for each.
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  return codeOf(error.cause)
}
