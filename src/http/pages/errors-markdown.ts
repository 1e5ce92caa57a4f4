import { errorHelp } from './error-help.ts'

/** The text of docs/errors.md. `npx vitest run -u src/http/pages` writes it. */
export function errorsMarkdown(): string {
  const sections = errorHelp().map(
    ({ code, status, title, meaning, action }) =>
      `## ${code}\n\n**${title}** · HTTP ${status}\n\n${meaning}\n\n*What to do:* ${action}\n`,
  )
  return [
    '# Errors',
    '',
    'Every error that Keepsake gives on purpose has a `code`. It never changes its meaning; act on it, not on the text.',
    'Over HTTP it comes in a problem document (RFC 9457), in the library as `KeepsakeError.code`, on the command line',
    'in square brackets after the message. 502, 503 and 504 pass: the same request may succeed later.',
    '',
    '```json',
    '{',
    '  "type": "/docs/errors#asset_not_found",',
    '  "title": "There is no such asset",',
    '  "status": 404,',
    '  "detail": "There is no such asset, or it belongs to somebody else.",',
    '  "code": "asset_not_found",',
    '  "requestId": "5f0c3a8e-7f0b-4d0e-9a51-0d2a8b1c7e42"',
    '}',
    '```',
    '',
    '<!-- Made from src/http/pages/error-help.ts; a test compares the two. -->',
    '',
    ...sections,
  ].join('\n')
}
