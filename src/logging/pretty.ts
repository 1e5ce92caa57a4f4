const reset = '\u001b[0m'
const dim = '\u001b[2m'
const levels: Readonly<Record<number, readonly [string, string]>> = {
  10: ['TRACE', dim],
  20: ['DEBUG', dim],
  30: ['INFO ', '\u001b[32m'],
  40: ['WARN ', '\u001b[33m'],
  50: ['ERROR', '\u001b[31m'],
  60: ['FATAL', '\u001b[31m'],
}
const hidden = new Set(['level', 'time', 'msg', 'err', 'requestId'])

/** One JSON log line as a short line for people; a line that is not JSON comes back as it is. */
export function prettyLine(line: string): string {
  const entry = parse(line)
  if (entry === undefined) return line
  const [name, color] = levels[Number(entry.level)] ?? ['     ', '']
  const time = new Date(Number(entry.time))
  const clock = Number.isNaN(time.getTime()) ? '' : time.toTimeString().slice(0, 8)
  const facts = Object.entries(entry)
    .filter(([key]) => !hidden.has(key))
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const id = typeof entry.requestId === 'string' ? `  ${dim}${visible(entry.requestId)}${reset}` : ''
  const head = `${dim}${clock}${reset} ${color}${name}${reset} ${visible(String(entry.msg ?? ''))}`
  const tail = facts.length === 0 ? '' : `  ${dim}${visible(facts.join(' '))}${reset}`
  return `${head}${tail}${id}\n${errorLines(entry.err)}`
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

function errorLines(error: unknown): string {
  if (typeof error !== 'object' || error === null) return ''
  const { stack, message, cause }: { stack?: unknown; message?: unknown; cause?: unknown } = error
  const text = typeof stack === 'string' ? stack : String(message ?? '')
  const own = text === '' ? '' : `${text.split('\n').map(visible).join('\n      ').replace(/^/, '      ')}\n`
  return own + (cause === undefined ? '' : errorLines(cause))
}

/** A log line holds what strangers sent: without control characters it cannot steer the terminal. */
function visible(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ')
}
