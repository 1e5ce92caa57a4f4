/**
 * For those who write an object store of their own: the suite that every store passes. It needs vitest.
 *
 * @example
 * describeObjectStore('my store', async () => ({ store: openMyStore(), close: async () => {} }))
 */
export { describeObjectStore } from './stores/conformance.ts'
