import { pino } from 'pino'
import { prettyLine } from './pretty.ts'
import { redact, redactText } from './redact.ts'

/** What Keepsake logs through: pino, with every secret taken out on the way. */
export type Logger = pino.Logger

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

export type LoggerOptions = {
  /** Default: `info`. */
  readonly level?: LogLevel
  /** Where lines go. Default: stdout. */
  readonly output?: { write(line: string): unknown; readonly isTTY?: boolean }
  /** Short lines for people instead of JSON. Default: where the output is a terminal. */
  readonly pretty?: boolean
}

/** A logger that writes one JSON document a line, or a short line for people on a terminal. */
export function createLogger(options: LoggerOptions = {}): Logger {
  const output = options.output ?? process.stdout
  const pretty = options.pretty ?? output.isTTY === true
  return pino(
    {
      level: options.level ?? 'info',
      base: null,
      formatters: { log: (entry) => redactFields(entry) },
      // Fields are plain data by now; pino's own serializer would add the raw error again.
      serializers: { err: (error: unknown) => redact(error) },
      // The last net: the message, what a child logger is bound to, and whatever comes into pino another way.
      hooks: { streamWrite: (line) => (pretty ? prettyLine(redactText(line)) : redactText(line)) },
    },
    { write: (line: string) => void output.write(line) },
  )
}

function redactFields(fields: object): Record<string, unknown> {
  const clean = redact(fields)
  return typeof clean === 'object' && clean !== null ? { ...clean } : {}
}

/** The message of anything thrown, fit for a log or a terminal. */
export function describeError(error: unknown): string {
  return redactText(error instanceof Error ? error.message : String(error))
}
