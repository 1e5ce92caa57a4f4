import type { Page } from 'playwright-core'
import type { Asset, UploadOptions } from '../../src/client/index.ts'

/** How an upload in a page came out, as it can be handed over from there. */
export type Outcome =
  | { readonly asset: Asset }
  | {
      readonly error: {
        readonly name: string
        readonly code?: string
        readonly status?: number
        readonly detail?: string
      }
    }

/** What pages/client.ts offers to a test, by name. Files are those that were chosen in the page's input. */
export type Lab = {
  connect(options: { url: string; token: string; linksExpireIn?: number }): void
  /** Starts to upload the chosen file. */
  upload(name: string, options: Pick<UploadOptions, 'collection' | 'attributes' | 'parallel' | 'contentType'>): void
  pause(name: string): void
  resume(name: string): void
  abort(name: string): void
  /** Every number of bytes that was reported, in order. */
  progress(name: string): number[]
  outcome(name: string): Promise<Outcome>
  /** The asset's link, fetched by the page: its status and size. */
  open(id: string): Promise<{ status: number; size: number }>
}

/** Calls what the page offers. */
export function inLab<Name extends keyof Lab>(
  page: Page,
  name: Name,
  ...args: Parameters<Lab[Name]>
): Promise<Awaited<ReturnType<Lab[Name]>>> {
  return page.evaluate(([method, given]) => Reflect.get(globalThis, 'lab')[method](...given), [name, args] as const)
}
