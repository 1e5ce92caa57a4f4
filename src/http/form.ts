import { Readable } from 'node:stream'
import { Busboy, type BusboyFileStream } from '@fastify/busboy'
import { KeepsakeError } from '../media/index.ts'

/** A form whose fields are here and whose file is still on its way. */
export type OpenedForm = {
  readonly fields: ReadonlyMap<string, string>
  /** As the client calls the file. */
  readonly filename: string | null
  /** The file's bytes. Throws where the form ends before its own end, or has more after the file. */
  readonly file: AsyncIterable<Uint8Array>
}

/** Provenance may have 64 KiB of JSON; everything else is short. */
const limits = { fieldNameSize: 200, fieldSize: 128 * 1024, fields: 100, headerPairs: 50, headerSize: 16 * 1024 }

/**
 * Reads a form (RFC 7578) up to its file, which is then streamed: fields stand before it. Nothing is held but the fields.
 *
 * @throws {KeepsakeError} `invalid_request`
 */
export function openForm(contentType: string, body: ReadableStream<Uint8Array> | null): Promise<OpenedForm> {
  const opened = Promise.withResolvers<OpenedForm>()
  const ended = Promise.withResolvers<void>()
  ended.promise.catch(() => {})
  const fields = new Map<string, string>()
  let file: BusboyFileStream | undefined
  const refuse = (why: string, cause?: unknown) => {
    const error = new KeepsakeError('invalid_request', `The form is not valid: ${why}`, { cause })
    opened.reject(error)
    ended.reject(error)
  }
  const parser = openParser(contentType)
  parser.on('field', (name, value, nameCut, valueCut) => {
    if (file !== undefined) refuse(`the field '${name}' comes after the file. Send all fields before it.`)
    else if (nameCut || valueCut) refuse(`the field '${name}' is too long.`)
    else if (fields.has(name)) refuse(`the field '${name}' is there twice.`)
    else fields.set(name, value)
  })
  parser.on('file', (_name, stream, filename) => {
    if (file !== undefined) {
      stream.resume()
      refuse('it has a second file. Send one at a time.')
      return
    }
    file = stream
    // Whoever reads the file is told; without a listener the process would be.
    stream.on('error', () => {})
    opened.resolve({ fields, filename: filename || null, file: read(stream, ended.promise) })
  })
  parser.on('fieldsLimit', () => refuse(`it has more than ${limits.fields} fields.`))
  parser.on('finish', () => {
    if (file === undefined) refuse('it has no file. Send the media as a part with a filename.')
    ended.resolve()
  })
  parser.on('error', (error) => {
    refuse('it stops before its own end, or is malformed.', error)
    file?.destroy(new KeepsakeError('content_truncated', 'The form was cut off in the middle of its file.'))
  })
  const source = Readable.from(chunks(body), { objectMode: false })
  source.on('error', (error) => parser.destroy(error))
  source.pipe(parser)
  // Who has seen enough of the file lets go of the rest of the request.
  ended.promise.catch(() => source.destroy())
  return opened.promise
}

function openParser(contentType: string) {
  try {
    return new Busboy({ headers: { 'content-type': contentType }, limits, fileHwm: 256 * 1024 })
  } catch (cause) {
    throw new KeepsakeError('invalid_request', 'The form has no boundary in its content type (RFC 7578, 4.1).', {
      cause,
    })
  }
}

async function* read(stream: Readable, ended: Promise<void>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of stream) {
    if (chunk instanceof Uint8Array) yield chunk
  }
  await ended
}

async function* chunks(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array, void, undefined> {
  if (body !== null) yield* body
}
