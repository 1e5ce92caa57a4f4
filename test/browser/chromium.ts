import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** A headless Chromium with a profile of its own. @throws where none is installed. */
export function launchChromium(): Promise<Browser> {
  const executablePath = process.env.KEEPSAKE_CHROMIUM ?? places.find((place) => existsSync(place))
  if (executablePath === undefined) {
    throw new Error(
      `CHROMIUM IS MISSING: none of ${places.join(', ')} is there. Install it (Debian: apt-get install chromium), or ` +
        'say where it is by KEEPSAKE_CHROMIUM.',
    )
  }
  return chromium.launch({ executablePath, headless: true, args })
}
