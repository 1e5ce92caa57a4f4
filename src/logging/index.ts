export { createLogger, describeError, type Logger, type LoggerOptions, type LogLevel } from './logger.ts'
export { redact, redactText } from './redact.ts'
