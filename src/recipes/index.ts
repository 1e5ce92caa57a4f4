/**
 * Five systems that apps of today build by hand, each on Keepsake's public doors alone: read them as examples, use them
 * as they are. A server without a configuration file mounts all of them.
 */
import type { Extension } from '../index.ts'
import { aiContent } from './000-ai-content/index.ts'
import { echoes } from './001-echoes/index.ts'
import { generations } from './002-generations/index.ts'
import { productPhotos } from './003-product-photos/index.ts'
import { profileMedia } from './004-profile-media/index.ts'

export * from './000-ai-content/index.ts'
export * from './001-echoes/index.ts'
export * from './002-generations/index.ts'
export * from './003-product-photos/index.ts'
export * from './004-profile-media/index.ts'

export type RecipesOptions = {
  /** Where recipes read the variables of their own documents. Default: `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

/**
 * Every recipe, with its defaults, to try them all. What a recipe would make in the database of DATABASE_URL it leaves
 * out: name the recipe in the configuration for that.
 */
export function recipes({ env = process.env }: RecipesOptions = {}): readonly Extension[] {
  return [aiContent(), echoes({ env }), generations({ relation: 'embedded' }), productPhotos(), profileMedia()]
}
