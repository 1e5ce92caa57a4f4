import { KeepsakeError } from '../media/index.ts'

/** Content that came inside the request, checked but not yet decoded. */
export type InlineContent = {
  /** Bytes, once decoded. */
  readonly size: number
  /** The decoded bytes from the start, in slices, so that no second copy of the whole is made. */
  readonly slices: () => Iterable<Uint8Array>
}

/** Characters decoded at a time; a multiple of four. */
const slice = 256 * 1024

/**
 * Base64 as people send it: the standard or the URL-safe alphabet (RFC 4648, sections 4 and 5), padded or not, with
 * line breaks. Anything else is refused rather than skipped, since what is skipped is damage.
 *
 * @throws {KeepsakeError} `invalid_source`, with the position.
 */
export function base64Content(text: string, what = 'base64'): InlineContent {
  const refuse = (why: string): never => {
    const hint = text.startsWith('data:') ? ' It looks like a data URI: give it as dataUri.' : ''
    throw new KeepsakeError('invalid_source', `The ${what} is malformed: ${why}${hint}`)
  }
  const strange = text.search(/[^A-Za-z0-9+/_=\-\s]/)
  if (strange !== -1) {
    refuse(
      `character ${strange + 1} is ${JSON.stringify(String.fromCodePoint(text.codePointAt(strange) ?? 0))}. Allowed are ` +
        'A-Z, a-z, 0-9, + and / (or - and _), = at the end, and white space.',
    )
  }
  const standard = text.search(/[+/]/)
  const urlSafe = text.search(/[-_]/)
  if (standard !== -1 && urlSafe !== -1) {
    refuse(
      `it mixes the standard alphabet (character ${standard + 1}) and the URL-safe one (character ${urlSafe + 1}).`,
    )
  }
  const padding = text.indexOf('=')
  const digits = (padding === -1 ? text.length : padding) - countSpaces(text, padding === -1 ? text.length : padding)
  if (digits % 4 === 1) refuse(`it has ${digits} digits; one is left over. It may have been cut.`)
  if (padding !== -1) {
    const tail = text.slice(padding, padding + 1000).replace(/\s/g, '')
    if (text.slice(padding).search(/[^=\s]/) !== -1)
      refuse(`there is more after the padding at character ${padding + 1}.`)
    if (tail.length > 2 || (digits + tail.length) % 4 !== 0)
      refuse(`the padding at character ${padding + 1} is not right.`)
  }
  const end = padding === -1 ? text.length : padding
  return { size: Math.floor((digits * 3) / 4), slices: () => decodeBase64(text, end) }
}

function countSpaces(text: string, end: number): number {
  if (text.search(/\s/) === -1) return 0
  let count = 0
  for (let at = 0; at < end; at += slice) {
    const part = text.slice(at, Math.min(at + slice, end))
    count += part.length - part.replace(/\s+/g, '').length
  }
  return count
}

function* decodeBase64(text: string, end: number): Iterable<Uint8Array> {
  let carry = ''
  for (let at = 0; at < end; at += slice) {
    const part = carry + text.slice(at, Math.min(at + slice, end)).replace(/\s+/g, '')
    const whole = part.length - (part.length % 4)
    carry = part.slice(whole)
    // Node decodes both alphabets by this name.
    if (whole > 0) yield Buffer.from(part.slice(0, whole), 'base64')
  }
  if (carry !== '') yield Buffer.from(carry, 'base64')
}

/**
 * `data:[<media type>][;base64],<data>` (RFC 2397). The media type is not believed, only required to be well-formed:
 * content is what its first bytes say.
 *
 * @throws {KeepsakeError} `invalid_source`
 */
export function dataUriContent(text: string): InlineContent {
  const refuse = (why: string): never => {
    throw new KeepsakeError('invalid_source', `The data URI is malformed: ${why}`)
  }
  if (!/^data:/i.test(text)) refuse('it does not start with data:.')
  const comma = text.indexOf(',')
  if (comma === -1) refuse('there is no comma between the media type and the data.')
  if (comma > 1000) refuse('its media type has more than 1000 characters.')
  const head = /^data:([\w.+-]+\/[\w.+-]+)?((?:;[\w.+-]+=(?:"[^"]*"|[^;,"\s]*))*)(;\s*base64)?$/i.exec(
    text.slice(0, comma),
  )
  if (!head) return refuse(`${JSON.stringify(text.slice(5, Math.min(comma, 60)))} is not a media type.`)
  const data = text.slice(comma + 1)
  if (head[3] !== undefined) {
    // A URI may escape any character; '+', '/' and '=' often are.
    return base64Content(data.includes('%') ? unescapeText(data, refuse) : data, 'base64 of the data URI')
  }
  const strange = data.search(/[^!-~]|#|%(?![0-9A-Fa-f]{2})/)
  if (strange !== -1) {
    refuse(
      `character ${comma + 2 + strange} is ${JSON.stringify(data.charAt(strange))}, which must be written as %XX in a URI.`,
    )
  }
  const escapes = data.match(/%/g)?.length ?? 0
  return { size: data.length - 2 * escapes, slices: () => decodePercent(data) }
}

function unescapeText(data: string, refuse: (why: string) => never): string {
  const strange = data.search(/%(?![0-7][0-9A-Fa-f])/)
  if (strange !== -1) refuse(`character ${strange + 1} of its data begins an escape that is not a base64 character.`)
  return data.replace(/%([0-7][0-9A-Fa-f])/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function* decodePercent(data: string): Iterable<Uint8Array> {
  for (let at = 0; at < data.length; ) {
    let end = Math.min(at + slice, data.length)
    // An escape is not cut in two.
    const open = data.lastIndexOf('%', end - 1)
    if (end < data.length && open > end - 3) end = open
    const bytes = Buffer.alloc(end - at)
    let length = 0
    for (let index = at; index < end; index += 1) {
      if (data.charCodeAt(index) === 0x25) {
        bytes[length] = Number.parseInt(data.slice(index + 1, index + 3), 16)
        index += 2
      } else {
        bytes[length] = data.charCodeAt(index)
      }
      length += 1
    }
    yield bytes.subarray(0, length)
    at = end
  }
}
