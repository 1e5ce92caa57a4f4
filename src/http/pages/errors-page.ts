import { html } from 'hono/html'
import { errorHelp } from './error-help.ts'
import { page, prose } from './layout.ts'

export function errorsPage() {
  const entries = errorHelp()
  return page(
    'Keepsake: errors',
    html`
<header>
<p><a href="/docs">Keepsake HTTP API</a></p>
<h1>Errors</h1>
<p>Every error has a <code>code</code>, which never changes its meaning. Act on it, not on the text.
Errors with status 502, 503 and 504 pass: the same request may succeed later.</p>
</header>
<main>
${entries.map(
  ({ code, status, title, meaning, action }) => html`
<section class="card" id="${code}">
<h3><a href="#${code}">${code}</a> <span class="soft">${status}</span></h3>
<p><strong>${title}.</strong> ${prose(meaning)}</p>
<p><span class="soft">What to do:</span> ${prose(action)}</p>
</section>`,
)}
</main>
<footer></footer>`,
  )
}
