import { KeepsakeError } from './errors.ts'

/** What a key is made from. Times are UTC. */
export type KeyValues = {
  readonly id: string
  /** 1 for the first attempt; a later attempt gets another key, because a key has one content, ever. */
  readonly attempt: number
  readonly owner: string
  readonly collection: string
  readonly kind: string
  readonly extension: string
  readonly createdAt: Date
  readonly attributes: Readonly<Record<string, string>>
}

/** A parsed key template: call it with an asset's values to get the object's key. */
export type KeyTemplate = {
  readonly source: string
  /** Never fails for an asset's values: a value that is too long is cut, one that is empty becomes `unknown`. */
  readonly render: (values: KeyValues) => string
  /** Whether a key could have come from this template. */
  readonly fits: (key: string) => boolean
}

/**
 * First segments that are Keepsake's own: its marks on the bucket, what reconcile set aside, and what lifecycle rules
 * may remove. No asset's key begins with one of them.
 */
export const reservedPrefixes = ['.keepsake/', 'quarantine/', 'temp/'] as const

/** Whether a key lies under one of Keepsake's own prefixes. */
export function isReservedKey(key: string): boolean {
  return reservedPrefixes.some((prefix) => key.startsWith(prefix))
}

/** The placeholders of a known width, in characters. An id may carry `-` and an attempt of up to ten digits. */
const fixedWidth = { id: 47, id8: 19, date: 10, time: 6, yyyy: 4, mm: 2, dd: 2 } as const
/** A 32-bit integer in the catalogue. */
const maxAttempt = 2 ** 31 - 1
/** The placeholders that are as long as their value. */
const freeWidth = ['owner', 'collection', 'kind', 'ext'] as const

type FixedName = keyof typeof fixedWidth
type FreeName = (typeof freeWidth)[number]
const builtIn: readonly string[] = [...Object.keys(fixedWidth), ...freeWidth]

/** S3 counts a key in bytes of UTF-8 (AWS, "Naming Amazon S3 objects"); a key of ours is ASCII, so characters will do. */
const maxKeyLength = 1024
const maxValueLength = 128
/** A template whose values would have to be cut shorter than this is refused. */
const minValueLength = 32

/**
 * Parses a key template such as `ai-generated/{wallet}/{kind}s/{date}/{time}_{id8}.{ext}`. A placeholder is one of
 * `id id8 owner collection kind ext date time yyyy mm dd` or a declared attribute.
 *
 * @throws {KeepsakeError} `invalid_setting` where a placeholder is not known, where an attribute is called like a
 * placeholder that has a meaning already, where neither `{id}` nor `{id8}` makes the key unique, or where the fixed
 * text is not fit for a key.
 */
export function parseKeyTemplate(source: string, attributes: readonly string[] = []): KeyTemplate {
  const refuse = (why: string): never => {
    throw new KeepsakeError('invalid_setting', `The key template '${source}' is refused: ${why}`)
  }
  const parts = source.split(/\{([^{}]*)\}/)
  const names = parts.filter((_, index) => index % 2 === 1)
  const fixed = parts.filter((_, index) => index % 2 === 0)
  if (fixed.some((text) => !/^[A-Za-z0-9._/-]*$/.test(text))) {
    refuse('its fixed text may only have letters, digits and the characters . _ - /')
  }
  const taken = attributes.find((name) => builtIn.includes(name))
  if (taken !== undefined)
    refuse(`an attribute may not be called '${taken}', because {${taken}} has a meaning already.`)
  const allowed = [...builtIn, ...attributes]
  for (const name of names) {
    if (!allowed.includes(name)) refuse(`{${name}} is not known. Allowed here: ${allowed.join(', ')}.`)
  }
  if (!names.includes('id') && !names.includes('id8')) refuse('without {id} or {id8} two assets could share a key.')
  const segments = source.split('/')
  if (segments.includes('')) refuse('a key does not start or end with a slash, or repeat one.')
  if (segments.some((segment) => segment === '.' || segment === '..')) refuse('a segment is . or ..')

  const reserved = reservedPrefixes.find((prefix) => source.startsWith(prefix))
  if (reserved !== undefined) {
    refuse(`keys under '${reserved}' are Keepsake's own. Begin with another word than ${reservedPrefixes.join(', ')}.`)
  }

  const widths = names.map((name) => (isFixedName(name) ? fixedWidth[name] : 0))
  // One less: a first segment that is reserved gets an underscore.
  const room =
    maxKeyLength - 1 - [...widths, ...fixed.map((text) => text.length)].reduce((sum, width) => sum + width, 0)
  const values = widths.filter((width) => width === 0).length
  // Shared out here, so that no asset is refused later for a long value: the id keeps keys apart, not the values.
  const valueLength = Math.min(maxValueLength, values === 0 ? maxValueLength : Math.floor(room / values))
  if (room < 0 || valueLength < minValueLength) refuse(`its keys could have more than ${maxKeyLength} characters.`)
  const shape = new RegExp(
    `^${parts.map((part, index) => (index % 2 === 0 ? escapeRegExp(part) : shapeOf(part))).join('')}$`,
  )
  return {
    source,
    render: (keyValues) => render(parts, keyValues, valueLength),
    fits: (key) => key.length <= maxKeyLength && !isReservedKey(key) && shape.test(key),
  }
}

function render(parts: readonly string[], values: KeyValues, valueLength: number): string {
  const year = values.createdAt.getUTCFullYear()
  const { attempt } = values
  if (!(year >= 0 && year <= 9999) || !Number.isInteger(attempt) || attempt < 1 || attempt > maxAttempt) {
    throw new KeepsakeError('internal', 'A key needs a valid creation date and an attempt of 1 or more.')
  }
  const text = parts.map((part, index) => {
    if (index % 2 === 0) return part
    return isFixedName(part)
      ? fixedValue(part, values)
      : sanitizeKeyValue(freeValue(part, values)).slice(0, valueLength)
  })
  // A dot segment means something to every URL parser on the way (RFC 3986, section 5.2.4).
  const segments = text.join('').split('/')
  const key = segments.map((segment) => (/^\.+$/.test(segment) ? segment.replaceAll('.', '_') : segment)).join('/')
  // An owner may be called like one of the reserved words.
  return isReservedKey(key) ? key.replace('/', '_/') : key
}

const attemptShape = '(?:-[0-9]{1,10})?'
const fixedShapes: Readonly<Record<FixedName, string>> = {
  id: `[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}${attemptShape}`,
  id8: `[0-9a-f]{8}${attemptShape}`,
  date: '[0-9]{4}-[0-9]{2}-[0-9]{2}',
  time: '[0-9]{6}',
  yyyy: '[0-9]{4}',
  mm: '[0-9]{2}',
  dd: '[0-9]{2}',
}

function shapeOf(name: string): string {
  return isFixedName(name) ? fixedShapes[name] : `[A-Za-z0-9._-]{1,${maxValueLength}}`
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

function isFixedName(name: string): name is FixedName {
  return Object.hasOwn(fixedWidth, name)
}

function isFreeName(name: string): name is FreeName {
  return freeWidth.some((known) => known === name)
}

function fixedValue(name: FixedName, values: KeyValues): string {
  const iso = values.createdAt.toISOString()
  const suffix = values.attempt > 1 ? `-${values.attempt}` : ''
  switch (name) {
    case 'id':
      return values.id + suffix
    case 'id8':
      // The last digits of a UUIDv7 are random; the first are a clock.
      return values.id.slice(-8) + suffix
    case 'date':
      return iso.slice(0, 10)
    case 'time':
      return iso.slice(11, 19).replaceAll(':', '')
    case 'yyyy':
      return iso.slice(0, 4)
    case 'mm':
      return iso.slice(5, 7)
    case 'dd':
      return iso.slice(8, 10)
  }
}

function freeValue(name: string, values: KeyValues): string {
  if (!isFreeName(name)) return (Object.hasOwn(values.attributes, name) ? values.attributes[name] : undefined) ?? ''
  switch (name) {
    case 'owner':
      return values.owner
    case 'collection':
      return values.collection
    case 'kind':
      return values.kind
    case 'ext':
      return values.extension
  }
}

/** A value as it may stand in a key: `[A-Za-z0-9._-]` only, at most 128 characters, `unknown` where nothing is left. */
export function sanitizeKeyValue(value: string): string {
  const reduced = value
    // What is beyond could not reach the key; cutting first keeps the work small whatever is sent.
    .slice(0, 8 * maxValueLength)
    .normalize('NFKD')
    // An accent that came off its letter leaves no gap: café is cafe, São Paulo is Sao-Paulo.
    .replace(/\p{M}+/gu, '')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, maxValueLength)
  if (reduced === '') return 'unknown'
  return /^\.+$/.test(reduced) ? reduced.replaceAll('.', '_') : reduced
}
