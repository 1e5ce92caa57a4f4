import type { MoveOptions } from '../../catalogue/index.ts'
import { defaultOwner } from '../../intake/index.ts'
import {
  type Collection,
  extensionOf,
  KeepsakeError,
  type KeyTemplate,
  keyKindOf,
  kindOf,
  type MediaKind,
  parseAttributes,
  parseKeyTemplate,
  reservedPrefixes,
} from '../../media/index.ts'
import { checkObjectKey } from '../../stores/index.ts'
import { type PathValues, parsePathPattern } from './path-pattern.ts'

/** Longest owner and file name that the HTTP contract takes, in characters. */
const maxOwner = 256
const maxFilename = 1024

export type PlannedFile = {
  readonly owner: string
  readonly attributes: Readonly<Record<string, string>>
  readonly filename: string
  readonly kind: MediaKind
  readonly key: string
}

/** From a path to what its asset will be: whose, with which attributes, under which key. */
export type FilePlan = (path: string, content: { readonly id: string; readonly contentType: string }) => PlannedFile

/**
 * @throws {KeepsakeError} `invalid_request` where the options do not fit the collection. The plan itself throws
 * `invalid_request` for a path that does not.
 */
export function planFiles(collection: Collection, options: MoveOptions): FilePlan {
  const declared = Object.keys(collection.attributes)
  const read = options.match === null ? () => nothing : parsePathPattern(options.match, declared)
  const template = keyTemplate(collection, options, declared)
  const createdAt = new Date()
  return (path, { id, contentType }) => {
    const values = read(path)
    if (values === undefined) {
      throw new KeepsakeError('invalid_request', `The path does not match '${options.match}'.`)
    }
    const owner = values.owner ?? options.owner ?? defaultOwner
    if (owner.length > maxOwner) throw new KeepsakeError('invalid_request', `The owner has ${owner.length} characters.`)
    const attributes = parseAttributes(collection, { ...options.attributes, ...values.attributes })
    const kind = kindOf(contentType)
    const filename = (path.split('/').at(-1) ?? path).slice(0, maxFilename)
    const key =
      template === null
        ? checkedKey(path)
        : template.render({
            id,
            attempt: 1,
            owner,
            collection: collection.name,
            kind: keyKindOf(contentType),
            extension: extensionOf(contentType),
            createdAt,
            attributes,
          })
    return { owner, attributes, filename, kind, key }
  }
}

const nothing: PathValues = { owner: undefined, attributes: {} }

function checkedKey(path: string): string {
  const first = reservedPrefixes.find((prefix) => path.startsWith(prefix))
  if (first !== undefined) {
    throw new KeepsakeError('invalid_request', `Keys under ${first} are Keepsake's own. Give this file another key.`)
  }
  try {
    checkObjectKey(path)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new KeepsakeError('invalid_request', `The path cannot be a key as it is: ${why}`, { cause: error })
  }
  return path
}

function keyTemplate(collection: Collection, options: MoveOptions, declared: readonly string[]): KeyTemplate | null {
  if (options.keepKeys) return null
  if (options.map === null) return collection.key
  try {
    return parseKeyTemplate(options.map, declared)
  } catch (error) {
    // Here it comes with the request, and is no setting.
    if (!KeepsakeError.is(error, 'invalid_setting')) throw error
    throw new KeepsakeError('invalid_request', error.message, { cause: error })
  }
}
