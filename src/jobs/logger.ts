/** What jobs need of a logger; pino's has it. */
export type JobLogger = {
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export const silentLogger: JobLogger = { warn() {}, error() {} }
