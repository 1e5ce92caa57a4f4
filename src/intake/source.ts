/** What an import may come from. */
export type ImportSource =
  | { readonly url: string /** When the URL dies, where it does not say so itself. */; readonly expiresAt?: Date }
  /** RFC 2397, base64 or percent-encoded. */
  | { readonly dataUri: string }
  /** RFC 4648, standard or URL-safe alphabet, padded or not. */
  | { readonly base64: string }
  | { readonly bytes: Uint8Array | AsyncIterable<Uint8Array> | ReadableStream<Uint8Array> }

/** A source that answered: its bytes, not yet read. */
export type OpenedSource = {
  readonly body: AsyncIterable<Uint8Array>
  /** Bytes announced, where known. The body throws `content_truncated` (retryable) if fewer come. */
  readonly size: number | null
  /** False where the end of the body is only told by the connection closing: a cut cannot be told from the end. */
  readonly framed: boolean
  /** Stops and lets go of the connection; harmless after the end. */
  close(): Promise<void>
}
