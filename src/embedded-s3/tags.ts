import { S3Error } from './errors.ts'
import { headerValue, percentDecode, type S3Request } from './request.ts'
import { element, S3_NAMESPACE, XML_DECLARATION, type XmlElement } from './xml.ts'

/** Tags of an object or a bucket, by key. */
export type Tags = Readonly<Record<string, string>>

/** "You can associate up to 10 tags with an object", "up to 50 tags with a bucket". */
export const MAX_OBJECT_TAGS = 10
export const MAX_BUCKET_TAGS = 50

/** The x-amz-tagging header, in the form of a query; undefined where none was sent. */
export function tagsHeader(request: S3Request): Tags | undefined {
  const header = headerValue(request, 'x-amz-tagging')
  if (header === undefined) return undefined
  const decode = (text: string) => {
    try {
      return percentDecode(text.replaceAll('+', '%20'))
    } catch {
      throw new S3Error('InvalidArgument', "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded.")
    }
  }
  const pairs = header.split('&').filter((pair) => pair !== '')
  return checkTags(
    pairs.map((pair): [string, string] => {
      const equals = pair.indexOf('=')
      return equals < 0 ? [decode(pair), ''] : [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))]
    }),
    MAX_OBJECT_TAGS,
  )
}

/** A Tagging document. */
export function parseTags(root: XmlElement, max: number): Tags {
  const [set, ...others] = root.children
  if (root.name !== 'Tagging' || set?.name !== 'TagSet' || others.length > 0) throw new S3Error('MalformedXML')
  return checkTags(set.children.map(parseTag), max)
}

/** A Tag element. */
export function parseTag(tag: XmlElement): [string, string] {
  const text = (name: string) => tag.children.find((child) => child.name === name)?.text
  const [key, value] = [text('Key'), text('Value')]
  if (tag.name !== 'Tag' || key === undefined || value === undefined || tag.children.length !== 2) {
    throw new S3Error('MalformedXML')
  }
  return [key, value]
}

export function tagsXml(tags: Tags): string {
  const sorted = Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1))
  const set = sorted.map(([key, value]) => `<Tag>${element('Key', key)}${element('Value', value)}</Tag>`)
  return `${XML_DECLARATION}<Tagging xmlns="${S3_NAMESPACE}"><TagSet>${set.join('')}</TagSet></Tagging>`
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html */
export function checkTags(tags: readonly (readonly [string, string])[], max: number): Tags {
  if (tags.length > max) {
    if (max === MAX_OBJECT_TAGS) throw new S3Error('BadRequest', `Object tags cannot be greater than ${max}`)
    throw new S3Error('BadRequest', `Bucket tag count cannot be greater than ${max}`)
  }
  const allowed = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u
  for (const [key, value] of tags) {
    if (key === '' || [...key].length > 128 || !allowed.test(key) || /^aws:/i.test(key)) {
      throw new S3Error('InvalidTag', 'The TagKey you have provided is invalid', { TagKey: key })
    }
    if ([...value].length > 256 || !allowed.test(value)) {
      throw new S3Error('InvalidTag', 'The TagValue you have provided is invalid', { TagKey: key, TagValue: value })
    }
  }
  if (new Set(tags.map(([key]) => key)).size < tags.length) {
    throw new S3Error('InvalidTag', 'Cannot provide multiple Tags with the same key')
  }
  return Object.fromEntries(tags)
}
