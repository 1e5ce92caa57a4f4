import { type CollectionDefinition, KeepsakeError } from '../../index.ts'

/** The formats of the document, by the extension that a key gets. */
export const audioFormats = {
  webm: 'audio/webm',
  wav: 'audio/wav',
  mp3: 'audio/mpeg',
  m4a: 'audio/mp4',
  ogg: 'audio/ogg',
  flac: 'audio/flac',
  aac: 'audio/aac',
} as const

/** 10 MB, as the document counts them. Bytes. */
export const defaultMaxFileSize = 10 * 1024 * 1024

export const collectionName = 'echoes'

/** `user_id/year/month/day/echo_id.extension`, and what is told of an echo once it is there. */
export function collection(maxSize: number | string): CollectionDefinition {
  return {
    key: '{owner}/{yyyy}/{mm}/{dd}/{id}.{ext}',
    accept: Object.values(audioFormats),
    maxSize,
    attributes: {
      emotion: { maxLength: 50, normalize: 'lowercase' },
      /** A JSON list: at most ten of fifty characters. */
      tags: { maxLength: 1024 },
      transcript: { maxLength: 1000 },
      detected_mood: { maxLength: 50 },
      /** A JSON object: lat, lng, address. */
      location: { maxLength: 512 },
    },
  }
}

/**
 * Checks what a client announces, before anything is signed. What it sends is held to the same by its bytes.
 *
 * @param size Bytes, where they are known.
 * @throws {KeepsakeError} `invalid_request`, `content_too_large`
 */
export function validateAudioFile(
  extension: string,
  contentType: string,
  size?: number,
  maxFileSize: number = defaultMaxFileSize,
): void {
  const bare = extension.toLowerCase().replace(/^\./, '')
  const expected = Object.entries(audioFormats).find(([known]) => known === bare)?.[1]
  if (expected === undefined) {
    const known = Object.keys(audioFormats).join(', ')
    throw new KeepsakeError('invalid_request', `file_extension is '${extension.slice(0, 20)}'. Supported: ${known}.`)
  }
  if (contentType !== expected) {
    throw new KeepsakeError(
      'invalid_request',
      `content_type is '${contentType.slice(0, 100)}', and a .${bare} is ${expected}. Send exactly that, also as the ` +
        'Content-Type of the upload.',
    )
  }
  if (size !== undefined && size > maxFileSize) {
    throw new KeepsakeError('content_too_large', `The file has ${size} bytes. Allowed are ${maxFileSize}.`, {
      details: { size, maxSize: maxFileSize },
    })
  }
}
