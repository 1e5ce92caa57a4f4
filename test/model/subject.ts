import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * The code under test, loaded from a folder: the project's own `src`, or a copy with one defect sown into it.
 */
export async function loadSubject(src: string) {
  const from = (path: string) => pathToFileURL(resolve(src, path)).href
  const compose: typeof import('../../src/compose.ts') = await import(from('compose.ts'))
  const catalogue: typeof import('../../src/catalogue/index.ts') = await import(from('catalogue/index.ts'))
  const stores: typeof import('../../src/stores/index.ts') = await import(from('stores/index.ts'))
  const media: typeof import('../../src/media/index.ts') = await import(from('media/index.ts'))
  return { ...compose, ...catalogue, ...stores, ...media }
}

export type Subject = Awaited<ReturnType<typeof loadSubject>>
