import { S3Error } from './errors.ts'

/** "The form data and boundaries (excluding the contents of the file) cannot exceed 20KB." */
const MAX_FIELDS = 20 * 1024

/**
 * Reads a multipart/form-data body (RFC 7578) as it comes: first all fields before the file, then the file. What comes
 * after the file is ignored, as S3 does.
 */
export class FormReader {
  readonly #chunks: AsyncIterator<Buffer>
  readonly #delimiter: Buffer
  /** So that the first boundary, at the very beginning, looks like all others. */
  #rest: Buffer = Buffer.from('\r\n')
  #read = 0
  /** What the file's part says of itself. */
  filename = ''

  /** Throws MalformedPOSTRequest when the content type is not that of a form. */
  constructor(contentType: string, body: AsyncIterable<Buffer>) {
    const [, quoted, plain] =
      /^multipart\/form-data\s*;.*\bboundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))/i.exec(contentType) ?? []
    const boundary = quoted ?? plain
    if (boundary === undefined) throw new S3Error('MalformedPOSTRequest')
    this.#chunks = body[Symbol.asyncIterator]()
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1')
  }

  /** The fields before the file, by name in lower case; values are bytes, one character a byte. */
  async fields(): Promise<Map<string, string>> {
    const fields = new Map<string, string>()
    await this.#until(this.#delimiter)
    for (;;) {
      const line = await this.#until(Buffer.from('\r\n'))
      if (line.toString('latin1').trim().startsWith('--')) throw noFile()
      const headers = (await this.#until(Buffer.from('\r\n\r\n'))).toString('latin1')
      const disposition = /^content-disposition\s*:\s*form-data\s*(;.*)$/im.exec(headers)?.[1] ?? ''
      const name = parameter(disposition, 'name')?.toLowerCase()
      if (name === undefined) throw new S3Error('MalformedPOSTRequest')
      if (name === 'file') {
        this.filename = parameter(disposition, 'filename') ?? ''
        return fields
      }
      const value = (await this.#until(this.#delimiter)).toString('latin1')
      if (fields.has(name)) throw new S3Error('InvalidArgument', `POST has more than one field ${name}.`)
      fields.set(name, value)
    }
  }

  /** The file's bytes. */
  async *file(): AsyncGenerator<Buffer, void, undefined> {
    const keep = this.#delimiter.length - 1
    for (;;) {
      const end = this.#rest.indexOf(this.#delimiter)
      if (end >= 0) {
        if (end > 0) yield this.#rest.subarray(0, end)
        break
      }
      const sure = this.#rest.length - keep
      if (sure > 0) {
        yield this.#rest.subarray(0, sure)
        this.#rest = this.#rest.subarray(sure)
      }
      const more = await this.#chunks.next()
      if (more.done) throw new S3Error('MalformedPOSTRequest')
      this.#rest = Buffer.concat([this.#rest, more.value])
    }
    while (!(await this.#chunks.next()).done);
  }

  /** The bytes before `mark`, which is skipped. */
  async #until(mark: Buffer): Promise<Buffer> {
    for (;;) {
      const end = this.#rest.indexOf(mark)
      const length = end < 0 ? this.#rest.length : end
      if (this.#read + length > MAX_FIELDS) throw new S3Error('MaxPostPreDataLengthExceededError')
      if (end >= 0) {
        const before = this.#rest.subarray(0, end)
        this.#rest = this.#rest.subarray(end + mark.length)
        this.#read += end + mark.length
        return before
      }
      const more = await this.#chunks.next()
      if (more.done) throw noFile()
      this.#rest = Buffer.concat([this.#rest, more.value])
    }
  }
}

function parameter(disposition: string, name: string): string | undefined {
  const [, quoted, plain] =
    new RegExp(`;\\s*${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s;]*))`, 'i').exec(disposition) ?? []
  return quoted?.replace(/\\(.)/g, '$1') ?? plain
}

function noFile(): S3Error {
  return new S3Error('InvalidArgument', 'POST requires exactly one file upload per request.', { ArgumentName: 'file' })
}
