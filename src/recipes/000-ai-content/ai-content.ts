import type { Extension } from '../../index.ts'
import { collection, collectionName } from './collection.ts'
import { addRoutes } from './routes.ts'

/**
 * What AI models made, by wallet, agent and model, with the calls of the document under `/api/s3`.
 *
 * @example
 * // keepsake.config.ts
 * export default defineConfig({ extensions: [aiContent()] })
 */
export function aiContent(): Extension {
  return {
    name: 'ai-content',
    collections: { [collectionName]: collection },
    http: { path: '/api/s3', routes: addRoutes },
  }
}
