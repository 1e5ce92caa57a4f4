import { z } from 'zod'
import { parseDuration, parseSize } from '../media/index.ts'

/**
 * The kinds of values that settings have. One schema each, used for the environment's texts and for the configuration
 * alike; what is allowed is said in words, once, and stands in the message for a bad one.
 */

/** One issue for a bad value, which says what is allowed and never what was found: it may be a secret. */
export function described<T extends z.ZodType>(
  schema: T,
  allowed: string,
): z.ZodPipe<z.ZodUnknown, z.ZodTransform<z.output<T>, unknown>> {
  return z.unknown().transform((value, context) => {
    const parsed = schema.safeParse(value)
    if (parsed.success) return parsed.data
    context.addIssue({ code: 'custom', message: `Allowed is ${allowed}.` })
    return z.NEVER
  })
}

const wholeNumber = z
  .union([
    z.number(),
    z
      .string()
      .regex(/^\d{1,15}$/)
      .transform(Number),
  ])
  .pipe(z.int())

export const port = described(wholeNumber.pipe(z.int().min(0).max(65_535)), 'a port, a whole number from 0 to 65535')

export const urlSeconds = described(
  wholeNumber.pipe(z.int().min(1).max(3600)),
  'a whole number of seconds from 1 to 3600: a link never outlives the hour',
)

export const flag = described(
  z.union([
    z.boolean(),
    z
      .string()
      .toLowerCase()
      .pipe(z.enum(['true', 'false', '1', '0', 'yes', 'no', 'on', 'off']))
      .transform((text) => ['true', '1', 'yes', 'on'].includes(text)),
  ]),
  'true or false',
)

export const size = described(
  z.union([z.number(), z.string()]).transform((value, context) => {
    try {
      const bytes = parseSize(value)
      if (bytes > 0) return bytes
    } catch {
      // Said below, with the setting's name.
    }
    context.addIssue({ code: 'custom', message: 'not a size' })
    return z.NEVER
  }),
  "a number of bytes, or a text such as '10 MB'",
)

const mebibyte = 1024 * 1024

/** AWS, "Amazon S3 multipart upload limits". */
export const partSize = described(
  size.pipe(
    z
      .number()
      .min(5 * mebibyte)
      .max(5 * 1024 * mebibyte),
  ),
  "a size from '5 MiB' to '5 GiB'",
)

export const folder = described(
  z
    .string()
    .min(1)
    .refine((path) => !path.includes('\0')),
  'the path of a folder',
)

export const host = described(
  z.string().regex(/^[A-Za-z0-9_.:%-]+$/),
  'a host name or IP address to listen on, without a scheme or port, such as 127.0.0.1 or 0.0.0.0',
)

/** RFC 9110, section 5.5: what a header can carry without quoting. */
export const headerToken = described(
  z.string().regex(/^[\x21-\x7e]+$/),
  'visible ASCII characters without spaces, because it travels in a header',
)

/** ISO 8601, as the AWS tools write the end of temporary credentials. */
export const instant = described(
  z.union([z.date(), z.iso.datetime({ offset: true }).transform((text) => new Date(text))]),
  'a time such as 2026-11-20T12:00:00Z',
)

export const anyText = described(z.string().min(1), 'a text')

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export const logLevel = described(z.string().toLowerCase().pipe(z.enum(logLevels)), `one of ${logLevels.join(', ')}`)

export const providers = ['aws', 'minio', 'r2', 'b2', 'ceph', 'other'] as const
export const provider = described(z.string().toLowerCase().pipe(z.enum(providers)), `one of ${providers.join(', ')}`)

/** AWS, "General purpose bucket naming rules"; other stores, and old buckets, also allow capitals and underscores. */
export const bucket = described(
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/),
  'a bucket name, 3 to 63 letters, digits, dots and hyphens (not an ARN or a URL)',
)

export const region = described(z.string().regex(/^[A-Za-z0-9-]{1,64}$/), 'a region, such as us-east-1 (or auto)')

/** An http or https address; comes back without a slash at its end. */
export const webAddress = described(
  z.string().transform((text, context) => {
    const url = URL.parse(text)
    const plain = url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash
    if (plain) return url.href.replace(/\/+$/, '')
    context.addIssue({ code: 'custom', message: 'not a web address' })
    return z.NEVER
  }),
  'an http or https URL without a user, a query or a fragment',
)

/** Where a CDN answers, as an address without a slash at its end. Links to it are secrets: https, but on this machine. */
export const cdnAddress = described(
  z.string().transform((text, context) => {
    const url = URL.parse(text.includes('://') ? text : `https://${text}`)
    const safe =
      url?.protocol === 'https:' || (url?.protocol === 'http:' && /^(localhost|127(\.\d+){3})$/.test(url.hostname))
    if (url && safe && `${url.origin}/` === url.href) return url.origin
    context.addIssue({ code: 'custom', message: 'not the address of a CDN' })
    return z.NEVER
  }),
  'the domain of a CloudFront distribution, such as d111111abcdef8.cloudfront.net or media.example.com',
)

/** https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_PublicKey.html */
export const keyPairId = described(
  z.string().regex(/^[A-Z0-9]{6,64}$/),
  'the id of a public key in CloudFront, such as K2JCJMDEHXQW5F',
)

export const signatureHash = described(
  z
    .string()
    .toLowerCase()
    .transform((text) => text.replace('-', ''))
    .pipe(z.enum(['sha256', 'sha1'])),
  'sha256 or sha1',
)

/** An http or https address, exactly as given but for its spelling. */
export const keysAddress = described(
  z.string().refine((text) => {
    const url = URL.parse(text)
    return url !== null && /^https?:$/.test(url.protocol) && !url.username && !url.password
  }),
  'an http or https URL without a user',
)

/** RFC 6454, section 6.2: as a browser spells it, so that comparing texts is enough. */
const origin = z.string().transform((text, context) => {
  const url = URL.parse(text.trim())
  const exact = url && /^https?:$/.test(url.protocol) && !text.includes('*') && `${url.origin}/` === url.href
  if (exact) return url.origin
  context.addIssue({ code: 'custom', message: 'not an origin' })
  return z.NEVER
})

export const originList = described(
  z
    .union([
      z.array(z.string()),
      z.string().transform((text) => text.split(',').filter((entry) => entry.trim() !== '')),
    ])
    .pipe(z.array(origin)),
  'origins separated by commas, each a scheme, a host and a port where it is not the usual one, such as ' +
    'https://app.example or http://localhost:5173, without a path or a wildcard',
)

export const databaseUrl = described(
  z.string().refine((text) => /^postgres(ql)?:\/\//.test(text) && URL.canParse(text)),
  'a URL such as postgres://user:password@host:5432/database, with special characters percent-encoded',
)

/** `host` or `host:port`; comes back as a URL would spell it: lower case, addresses in their usual form. */
const allowedHost = z.string().transform((entry, context) => {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@[\]*%\\]+)(?::([1-9]\d{0,4}))?$/.exec(entry.trim())
  const url = match?.[1] === undefined ? null : URL.parse(`http://${match[1]}/`)
  if (match && url && Number(match[2] ?? 1) <= 65_535) {
    return match[2] === undefined ? url.hostname : `${url.hostname}:${match[2]}`
  }
  context.addIssue({ code: 'custom', message: 'not a host' })
  return z.NEVER
})

export const hostList = described(
  z
    .union([
      z.array(z.string()),
      z.string().transform((text) => text.split(',').filter((entry) => entry.trim() !== '')),
    ])
    .pipe(z.array(allowedHost)),
  'hosts separated by commas, each a host or host:port such as media.internal:9000 or [::1]:8080, ' +
    'without a scheme, a path or a wildcard',
)

export const keyPrefix = described(
  z.string().regex(/^.+\/$/s),
  "a prefix of keys that ends with a slash, such as 'exports/'",
)

/** Five fields, or six with seconds in front; pg-boss, which reads it, judges the rest. */
export const cron = described(
  z
    .string()
    .trim()
    .regex(/^\S+(\s+\S+){4,5}$/),
  "a cron expression of five fields in UTC, such as '0 3 * * *' (every day at 03:00)",
)

export const duration = described(
  z.union([z.number(), z.string()]).transform((value, context) => {
    try {
      const seconds = parseDuration(value)
      if (seconds >= 1) return seconds
    } catch {
      // Said below, with the setting's name.
    }
    context.addIssue({ code: 'custom', message: 'not a duration' })
    return z.NEVER
  }),
  "a number of seconds from 1, or a text such as '10m' or '90d'",
)

/** From 0. */
export const anyDuration = described(
  z.union([z.number(), z.string()]).transform((value, context) => {
    try {
      return parseDuration(value)
    } catch {
      context.addIssue({ code: 'custom', message: 'not a duration' })
      return z.NEVER
    }
  }),
  "a number of seconds, or a text such as '12h' or '7d'",
)

export const replicaCopier = described(z.enum(['keepsake', 'store']), 'keepsake or store')

export const verifyLevel = described(z.enum(['exists', 'checksum', 'full']), 'exists, checksum or full')

export const wholeCount = described(wholeNumber.pipe(z.int().min(0)), 'a whole number')

export const endpointName = described(
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/),
  'up to 63 letters, digits, dots, hyphens and underscores',
)

/** Whether it may be sent to is judged where it is sent from. */
export const webhookUrl = described(
  z.string().refine((text) => /^https?:\/\//i.test(text) && URL.canParse(text)),
  'an https URL (http only for hosts in KEEPSAKE_WEBHOOK_ALLOW_HOSTS)',
)

const oneSecret = z.string().regex(/^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/)

/** One or more, the newest first: while a secret is exchanged, both sign. */
export const webhookSecrets = described(
  z
    .union([z.string().transform((text) => text.split(/[\s,]+/).filter((entry) => entry !== '')), z.array(z.string())])
    .pipe(z.array(oneSecret).min(1)),
  'whsec_ and 24 to 64 random bytes in base64 (several, the newest first, while a secret is exchanged)',
)

export const eventNames = described(z.array(z.string()).min(1), 'a list of events, such as asset.stored')
export const bucketEnv = described(
  z
    .string()
    .toLowerCase()
    .pipe(z.enum(['dev', 'prod'])),
  'dev or prod',
)
export const account = described(z.string().regex(/^\d{12}$/), 'the twelve digits of an AWS account, as a text')
export const textList = described(
  z.union([
    z.array(z.string().min(1)),
    z.string().transform((text) =>
      text
        .split(',')
        .map((entry) => entry.trim())
        .filter((entry) => entry !== ''),
    ),
  ]),
  'texts separated by commas',
)
