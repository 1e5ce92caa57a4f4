import type { Page } from 'playwright-core'

export type UppyOutcome = {
  readonly successful: readonly { readonly name: string; readonly location: string }[]
  readonly failed: readonly { readonly name: string; readonly error: string }[]
}

/** What pages/uppy.ts offers to a test. */
export type UppyLab = {
  /** Begins to upload the chosen file: in parts, or whole. */
  start(endpoint: string, options: { multipart: boolean }): void
  /** Pauses what goes on, and goes on with what is paused. */
  pauseOrResume(): void
  cancel(): void
  /** Every number of bytes that was reported, in order. */
  progress(): number[]
  outcome(): Promise<UppyOutcome>
}

export function inUppy<Name extends keyof UppyLab>(
  page: Page,
  name: Name,
  ...args: Parameters<UppyLab[Name]>
): Promise<Awaited<ReturnType<UppyLab[Name]>>> {
  return page.evaluate(([method, given]) => Reflect.get(globalThis, 'uppyLab')[method](...given), [name, args] as const)
}
