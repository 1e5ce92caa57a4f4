import type { Extension } from '../../index.ts'
import { addProductRoutes } from './routes.ts'
import { stageCollections } from './stages.ts'

export type ProductPhotosOptions = {
  /** `private`: presigned links. `public`: plain links under S3_PUBLIC_BASE. Default: private. */
  readonly access?: 'private' | 'public'
  /** Default: images. */
  readonly accept?: readonly string[]
  /** The largest image. Default: 50 MB. */
  readonly maxSize?: number | string
  /** How long what is saved to `temp` is kept. Default: 7 days. */
  readonly keepTemp?: number | string
}

/**
 * A pipeline that makes product photos (seed 003): stages with lineage between them, under `/api/products`.
 *
 * @example
 * export default defineConfig({ extensions: [productPhotos()] })
 */
export function productPhotos(options: ProductPhotosOptions = {}): Extension {
  const { access = 'private', accept = ['image'], maxSize = '50 MB', keepTemp = '7d' } = options
  return {
    name: 'product-photos',
    collections: stageCollections({ access, accept, maxSize, keepTemp }),
    http: { path: '/api/products', routes: addProductRoutes },
  }
}
