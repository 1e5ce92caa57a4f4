import type { Extension } from '../../index.ts'
import { collection, collectionName, defaultMaxFileSize } from './audio.ts'
import { addRoutes } from './routes.ts'

export type EchoesOptions = {
  /** Bytes, or a text such as `'20 MiB'`. Default: MAX_AUDIO_FILE_SIZE, else 10 MiB. */
  readonly maxFileSize?: number | string
  /** Where MAX_AUDIO_FILE_SIZE is read from. Default: `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

/**
 * Short sounds of users: sent straight to the bucket, kept by user and day, with the calls of the document under
 * `/echoes`.
 *
 * @example
 * // keepsake.config.ts
 * export default defineConfig({ extensions: [echoes({ maxFileSize: '20 MiB' })] })
 */
export function echoes({ maxFileSize, env = process.env }: EchoesOptions = {}): Extension {
  const fromEnv = env.MAX_AUDIO_FILE_SIZE?.trim()
  const maxSize = maxFileSize ?? (fromEnv ? fromEnv : defaultMaxFileSize)
  return {
    name: 'echoes',
    collections: { [collectionName]: collection(maxSize) },
    http: { path: '/echoes', routes: addRoutes },
  }
}
