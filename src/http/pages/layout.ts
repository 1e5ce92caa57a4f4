import { createHash } from 'node:crypto'
import { html, raw } from 'hono/html'

type Html = ReturnType<typeof html>

/** One stylesheet, inline: the pages work offline, from any prefix, and need no script. */
const style = `
:root { color-scheme: light dark; --text: #1c2024; --soft: #60646c; --line: #e0e1e6; --page: #fff; --panel: #f6f7f9; --accent: #0b68cb }
@media (prefers-color-scheme: dark) {
  :root { --text: #edeef0; --soft: #b0b4ba; --line: #363a3f; --page: #111316; --panel: #1b1e22; --accent: #70b8ff }
}
* { box-sizing: border-box }
html { scroll-padding-top: 4rem }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.6 system-ui, -apple-system, "Segoe UI", sans-serif }
main, header, footer { max-width: 60rem; margin: 0 auto; padding: 0 1rem }
header { padding-top: 2rem } footer { padding-bottom: 3rem; color: var(--soft); font-size: .875rem }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .5rem }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem } h3 { font-size: 1rem; margin: 0 } h4 { font-size: .875rem; margin: 1rem 0 .25rem; color: var(--soft) }
p { margin: .5rem 0 } a { color: var(--accent) } :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
code, pre { font: .875em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
code { background: var(--panel); border-radius: 4px; padding: .1em .3em; overflow-wrap: anywhere }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .75rem; overflow-x: auto } pre code { padding: 0; background: none; overflow-wrap: normal }
details, section.card { border: 1px solid var(--line); border-radius: 8px; margin: .5rem 0; padding: .75rem 1rem }
summary { cursor: pointer; display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: baseline }
summary::-webkit-details-marker { display: none } summary::after { content: '+'; margin-left: auto; color: var(--soft); font: 1.25rem/1 ui-monospace, monospace }
details[open] > summary { margin-bottom: .5rem } details[open] > summary::after { content: '–' }
.method { font: 600 .8125rem ui-monospace, Menlo, Consolas, monospace; min-width: 4rem } .path { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .9375rem; overflow-wrap: anywhere } .soft { color: var(--soft) }
.table { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .9375rem } th, td { text-align: left; vertical-align: top; padding: .375rem .75rem .375rem 0; border-top: 1px solid var(--line) } th { color: var(--soft); font-weight: 500; border-top: 0 }
nav ul { list-style: none; padding: 0; margin: .5rem 0; display: flex; flex-wrap: wrap; gap: .25rem 1rem }
`

const styleHash = createHash('sha256').update(style).digest('base64')

/** What a browser may do on a page: apply this very stylesheet, and nothing else (CSP Level 3). */
export const pagePolicy = `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

export function page(title: string, body: Html | readonly Html[]): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${raw(style)}</style>
</head>
<body>
${body}
</body>
</html>
`
}

/** Text in which `words in backticks` are code. */
export function prose(text: string): Html[] {
  return text.split('`').map((part, index) => (index % 2 === 0 ? html`${part}` : html`<code>${part}</code>`))
}
