/**
 * Five systems that apps of today build by hand, each on Keepsake's public doors alone: read them as examples, use them
 * as they are. A server without a configuration file mounts all of them.
 */
import type { Extension } from '../index.ts'
import { generations } from './002-generations/index.ts'
import { productPhotos } from './003-product-photos/index.ts'
import { profileMedia } from './004-profile-media/index.ts'

export * from './002-generations/index.ts'
export * from './003-product-photos/index.ts'
export * from './004-profile-media/index.ts'

/**
 * Every recipe, with its defaults, to try them all. What a recipe would make in the database of DATABASE_URL it leaves
 * out: name the recipe in the configuration for that.
 */
export function recipes(): readonly Extension[] {
  return [generations({ relation: 'embedded' }), productPhotos(), profileMedia()]
}
