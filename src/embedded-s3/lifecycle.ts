import { hash } from 'node:crypto'
import { S3Error } from './errors.ts'
import { parseTag, type Tags } from './tags.ts'
import { element, parseXml, S3_NAMESPACE, XML_DECLARATION, type XmlElement } from './xml.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html */
export type LifecycleRule = {
  readonly id: string
  readonly enabled: boolean
  readonly filter: LifecycleFilter
  /** Days after an object was written, or a time in milliseconds since 1970. */
  readonly expiration: { readonly days: number } | { readonly date: number } | undefined
  /** Days after a multipart upload began. */
  readonly abortDays: number | undefined
  /** The rule as it was given, but for its id. */
  readonly xml: string
}

export type LifecycleFilter = {
  readonly prefix: string
  readonly tags: Tags
  /** Bytes: larger than, smaller than. */
  readonly above: number
  readonly below: number
}

const DAY = 86_400_000
const MAX_RULES = 1000

/** Throws NotImplemented for what would only be stored. */
export function parseLifecycle(document: string): LifecycleRule[] {
  const root = parseXml(document)
  const { length } = root.children
  if (root.name !== 'LifecycleConfiguration' || length === 0 || length > MAX_RULES) throw new S3Error('MalformedXML')
  const rules = root.children.map(parseRule)
  if (new Set(rules.map(({ id }) => id)).size < length) {
    throw new S3Error('InvalidArgument', 'Rule ID must be unique. Found same ID for more than one rule')
  }
  return rules
}

export function lifecycleXml(rules: readonly LifecycleRule[]): string {
  const xml = rules.map((rule) => `<Rule>${element('ID', rule.id)}${rule.xml}</Rule>`)
  return `${XML_DECLARATION}<LifecycleConfiguration xmlns="${S3_NAMESPACE}">${xml.join('')}</LifecycleConfiguration>`
}

/** When a rule lets an object go, in milliseconds since 1970: "rounding the resulting time to the next day midnight UTC". */
export function expiry(rule: LifecycleRule, modified: number): number | undefined {
  if (!rule.enabled || rule.expiration === undefined) return undefined
  if ('date' in rule.expiration) return rule.expiration.date
  return midnightAfter(modified, rule.expiration.days)
}

export function midnightAfter(time: number, days: number): number {
  return Math.ceil((time + days * DAY) / DAY) * DAY
}

/**
 * The x-amz-expiration header of an object: the first day on which a rule lets it go, and that rule. "The rule-id is
 * URL-encoded." https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
 */
export function expirationHeader(
  document: string,
  object: { readonly key: string; readonly size: number; readonly modified: number; readonly tags: () => Tags },
): string | undefined {
  let first: { readonly at: number; readonly id: string } | undefined
  for (const rule of parsedOnce(document)) {
    const at = expiry(rule, object.modified)
    if (at === undefined || (first && first.at <= at) || !isFiltered(rule.filter, object)) continue
    first = { at, id: rule.id }
  }
  return first && `expiry-date="${new Date(first.at).toUTCString()}", rule-id="${encodeURIComponent(first.id)}"`
}

/** Rules by their document: every answer about an object asks for them. */
const parsed = new Map<string, readonly LifecycleRule[]>()

function parsedOnce(document: string): readonly LifecycleRule[] {
  let rules = parsed.get(document)
  if (rules === undefined) {
    if (parsed.size >= 64) parsed.clear()
    rules = parseLifecycle(document)
    parsed.set(document, rules)
  }
  return rules
}

export function isFiltered(
  { prefix, tags, above, below }: LifecycleFilter,
  object: { readonly key: string; readonly size: number; readonly tags: () => Tags },
): boolean {
  if (!object.key.startsWith(prefix) || object.size <= above || object.size >= below) return false
  const wanted = Object.entries(tags)
  if (wanted.length === 0) return true
  const has = object.tags()
  return wanted.every(([key, value]) => has[key] === value)
}

function parseRule(rule: XmlElement): LifecycleRule {
  if (rule.name !== 'Rule') throw new S3Error('MalformedXML')
  const known = ['ID', 'Status', 'Prefix', 'Filter', 'Expiration', 'AbortIncompleteMultipartUpload']
  for (const { name } of rule.children) {
    if (!known.includes(name)) throw new S3Error('NotImplemented', `${name} in a lifecycle rule is not implemented.`)
  }
  const status = text(rule, 'Status')
  if (status !== 'Enabled' && status !== 'Disabled') throw new S3Error('MalformedXML')
  const xml = rule.children
    .filter(({ name }) => name !== 'ID')
    .map(toXml)
    .join('')
  const id = text(rule, 'ID') || hash('sha256', xml).slice(0, 32)
  if (id.length > 255) throw new S3Error('InvalidArgument', 'ID length should not exceed allowed limit of 255')
  const filter = parseFilter(rule)
  const expiration = parseExpiration(child(rule, 'Expiration'))
  const abort = child(rule, 'AbortIncompleteMultipartUpload')
  const abortDays = abort === undefined ? undefined : days(abort, 'DaysAfterInitiation')
  if (expiration === undefined && abortDays === undefined) {
    throw new S3Error('InvalidRequest', 'At least one action needs to be specified in a rule')
  }
  if (
    abortDays !== undefined &&
    (Object.keys(filter.tags).length > 0 || filter.above >= 0 || filter.below < Infinity)
  ) {
    throw new S3Error('InvalidRequest', 'AbortIncompleteMultipartUpload cannot be specified with Tags or sizes.')
  }
  return { id, enabled: status === 'Enabled', filter, expiration, abortDays, xml }
}

function parseFilter(rule: XmlElement): LifecycleFilter {
  const filter = child(rule, 'Filter')
  const legacy = text(rule, 'Prefix')
  if (filter === undefined) {
    if (legacy === undefined) throw new S3Error('MalformedXML')
    return { prefix: legacy, tags: {}, above: -1, below: Number.POSITIVE_INFINITY }
  }
  if (legacy !== undefined || filter.children.length > 1) throw new S3Error('MalformedXML')
  const parts = child(filter, 'And')?.children ?? filter.children
  const known = ['Prefix', 'Tag', 'ObjectSizeGreaterThan', 'ObjectSizeLessThan']
  if (parts.some(({ name }) => !known.includes(name))) throw new S3Error('MalformedXML')
  const last = (name: string) => parts.findLast((part) => part.name === name)?.text.trim()
  const size = (name: string) => {
    const value = last(name)
    if (value !== undefined && !/^\d{1,15}$/.test(value)) throw new S3Error('MalformedXML')
    return value === undefined ? undefined : Number(value)
  }
  return {
    prefix: parts.find(({ name }) => name === 'Prefix')?.text ?? '',
    tags: Object.fromEntries(parts.filter(({ name }) => name === 'Tag').map(parseTag)),
    above: size('ObjectSizeGreaterThan') ?? -1,
    below: size('ObjectSizeLessThan') ?? Number.POSITIVE_INFINITY,
  }
}

function parseExpiration(expiration: XmlElement | undefined): LifecycleRule['expiration'] {
  if (expiration === undefined) return undefined
  if (child(expiration, 'ExpiredObjectDeleteMarker') !== undefined) {
    throw new S3Error('NotImplemented', 'ExpiredObjectDeleteMarker is not implemented.')
  }
  const date = text(expiration, 'Date')
  if ((date === undefined) === (text(expiration, 'Days') === undefined)) throw new S3Error('MalformedXML')
  if (date === undefined) return { days: days(expiration, 'Days') }
  const time = /^\d{4}-\d\d-\d\d/.test(date) ? Date.parse(date) : Number.NaN
  if (Number.isNaN(time)) throw new S3Error('MalformedXML')
  if (time % DAY !== 0) throw new S3Error('InvalidArgument', "'Date' must be at midnight GMT")
  return { date: time }
}

function days(parent: XmlElement, name: string): number {
  const value = text(parent, name) ?? ''
  if (!/^-?\d{1,9}$/.test(value)) throw new S3Error('MalformedXML')
  if (Number(value) < 1) {
    throw new S3Error('InvalidArgument', `'${name}' for ${parent.name} action must be a positive integer`)
  }
  return Number(value)
}

function child(parent: XmlElement, name: string): XmlElement | undefined {
  return parent.children.find((one) => one.name === name)
}

function text(parent: XmlElement, name: string): string | undefined {
  return child(parent, name)?.text.trim()
}

function toXml({ name, text: content, children }: XmlElement): string {
  return children.length > 0 ? `<${name}>${children.map(toXml).join('')}</${name}>` : element(name, content)
}
