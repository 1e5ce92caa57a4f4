import type { ExtensionSettings } from './config/index.ts'
import type { HttpExtension } from './http/index.ts'

/**
 * A system on top of Keepsake, as one value for the configuration: the collections it keeps media in, the routes it
 * answers and the relations it shows them by. The recipes are five of them.
 *
 * @example
 * // keepsake.config.ts
 * export default defineConfig({ extensions: [echoes()] })
 */
export type Extension = ExtensionSettings & { readonly http?: HttpExtension }
