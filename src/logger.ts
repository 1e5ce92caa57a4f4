/** What the parts say to the log. A pino logger satisfies it. Never a secret: no signed URL, no key, no token. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Says nothing: the library's default. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} }
