import type { Page } from 'playwright-core'

type Shown = { url: string; token: string; linksExpireIn?: number; limit?: number }

/** What pages/react.tsx offers to a test. */
export type Gallery = { show(options: Shown): void }

export function showGallery(page: Page, options: Shown): Promise<void> {
  return page.evaluate((given) => Reflect.get(globalThis, 'gallery').show(given), options)
}
