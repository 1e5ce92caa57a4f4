import type { IncomingMessage, ServerResponse } from 'node:http'
import { XML_DECLARATION } from './xml.ts'

/**
 * Keeps a client that waits for the answer to a long piece of work, as S3 does: "Amazon S3 sends an HTTP response header
 * that specifies a 200 OK response. While processing is in progress, Amazon S3 periodically sends white space characters
 * to keep the connection from timing out. A request could fail after the initial 200 OK response has been sent."
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
 *
 * What is done within the first `every` milliseconds after the request has come is answered as all else, with a status
 * of its own.
 */
export class SlowAnswer {
  readonly #response: ServerResponse
  readonly #timer: NodeJS.Timeout
  #begun = false

  constructor(
    incoming: IncomingMessage,
    response: ServerResponse,
    headers: Readonly<Record<string, string>>,
    every: number,
  ) {
    this.#response = response
    this.#timer = setInterval(() => {
      if (this.#begun) response.write(' ')
      else if (incoming.complete) {
        this.#begun = true
        response.writeHead(200, { ...headers, 'content-type': 'application/xml' }).write(XML_DECLARATION)
      }
    }, every)
  }

  /** No more blanks. Whether the answer has begun, and is to be ended by {@link end}. */
  stop(): boolean {
    clearInterval(this.#timer)
    return this.#begun
  }

  /** The answer itself, or the error that it has become. */
  end(xml: string): void {
    this.#response.end(xml.startsWith(XML_DECLARATION) ? xml.slice(XML_DECLARATION.length) : xml)
  }
}
