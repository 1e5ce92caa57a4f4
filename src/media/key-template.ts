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
  readonly render: (values: KeyValues) => string
}

const builtIn = ['id', 'id8', 'owner', 'collection', 'kind', 'ext', 'date', 'time', 'yyyy', 'mm', 'dd'] as const
type BuiltIn = (typeof builtIn)[number]

/** S3 counts a key in bytes of UTF-8 (AWS, "Naming Amazon S3 objects"). */
const maxKeyBytes = 1024
const maxValueLength = 128

/**
 * Parses a key template such as `ai-generated/{wallet}/{kind}s/{date}/{time}_{id8}.{ext}`. A placeholder is one of
 * `id id8 owner collection kind ext date time yyyy mm dd` or a declared attribute.
 *
 * @throws {KeepsakeError} `invalid_setting` where a placeholder is not known, where neither `{id}` nor `{id8}` makes
 * the key unique, or where the fixed text is not fit for a key.
 */
export function parseKeyTemplate(source: string, attributes: readonly string[] = []): KeyTemplate {
  const refuse = (why: string): never => {
    throw new KeepsakeError('invalid_setting', `The key template '${source}' is refused: ${why}`)
  }
  const parts = source.split(/\{([^{}]*)\}/)
  const names = parts.filter((_, index) => index % 2 === 1)
  const fixed = parts.filter((_, index) => index % 2 === 0)
  const allowed = [...builtIn, ...attributes]
  for (const name of names) {
    if (!allowed.includes(name)) refuse(`{${name}} is not known. Allowed here: ${allowed.join(', ')}.`)
  }
  if (!names.includes('id') && !names.includes('id8')) refuse('without {id} or {id8} two assets could share a key.')
  if (fixed.some((text) => !/^[A-Za-z0-9._/-]*$/.test(text))) {
    refuse('its fixed text may only have letters, digits and the characters . _ - /')
  }
  if (source.startsWith('/') || source.includes('//')) refuse('a key does not start with a slash or repeat one.')
  if (source.split('/').some((segment) => segment === '.' || segment === '..')) refuse('a segment is . or ..')
  return { source, render: (values) => render(parts, values) }
}

function render(parts: readonly string[], values: KeyValues): string {
  const key = parts.map((part, index) => (index % 2 === 0 ? part : placeholderValue(part, values))).join('')
  const safe = key.split('/').map((segment) => (/^\.+$/.test(segment) ? segment.replaceAll('.', '_') : segment))
  const result = safe.join('/')
  if (Buffer.byteLength(result) > maxKeyBytes) {
    throw new KeepsakeError('invalid_request', `The key would have more than ${maxKeyBytes} bytes. Shorten the values.`)
  }
  return result
}

function placeholderValue(name: string, values: KeyValues): string {
  if (isBuiltIn(name)) return builtInValue(name, values)
  const value = Object.hasOwn(values.attributes, name) ? values.attributes[name] : undefined
  return sanitizeKeyValue(value ?? '')
}

function isBuiltIn(name: string): name is BuiltIn {
  return builtIn.some((known) => known === name)
}

function builtInValue(name: BuiltIn, values: KeyValues): string {
  const iso = values.createdAt.toISOString()
  const suffix = values.attempt > 1 ? `-${values.attempt}` : ''
  switch (name) {
    case 'id':
      return values.id + suffix
    case 'id8':
      // The last digits of a UUIDv7 are random; the first are a clock.
      return values.id.slice(-8) + suffix
    case 'owner':
      return sanitizeKeyValue(values.owner)
    case 'collection':
      return sanitizeKeyValue(values.collection)
    case 'kind':
      return sanitizeKeyValue(values.kind)
    case 'ext':
      return sanitizeKeyValue(values.extension)
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

/** A value as it may stand in a key: `[A-Za-z0-9._-]` only, at most 128 characters, `unknown` where nothing is left. */
export function sanitizeKeyValue(value: string): string {
  const reduced = value
    .normalize('NFKD')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, maxValueLength)
  if (reduced === '') return 'unknown'
  return /^\.+$/.test(reduced) ? reduced.replaceAll('.', '_') : reduced
}
