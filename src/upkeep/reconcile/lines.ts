import { KeepsakeError } from '../../media/index.ts'

/** Characters: a finding or an object's JSON has some thousands at most. */
const longestLine = 1024 * 1024

/**
 * A text's lines, each without its line feed, and nothing after the last one. Only a line feed ends a line, and a
 * carriage return before it goes with it: `node:readline` ends one at U+2028 and U+2029 as well, which JSON leaves as
 * they are, and which the key of an object may have.
 *
 * @throws {KeepsakeError} `invalid_request` for a line that is no line of anything of ours, or bytes that are no UTF-8.
 */
export async function* linesOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const decode = (chunk?: Uint8Array) => {
    try {
      return chunk ? decoder.decode(chunk, { stream: true }) : decoder.decode()
    } catch {
      throw new KeepsakeError('invalid_request', 'The file is not UTF-8. Nothing was done.')
    }
  }
  let rest = ''
  for await (const chunk of source) {
    const lines = (rest + decode(chunk)).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > longestLine) {
      throw new KeepsakeError('invalid_request', `A line has more than ${longestLine} characters. Nothing was done.`)
    }
    for (const line of lines) yield withoutReturn(line)
  }
  rest += decode()
  if (rest !== '') yield withoutReturn(rest)
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line
}
