/**
 * Five systems that apps of today build by hand, each on Keepsake's public doors alone: read them as examples, use them
 * as they are. A server without a configuration file mounts all of them.
 */
import type { Extension } from '../index.ts'
import { aiContent } from './000-ai-content/index.ts'

export * from './000-ai-content/index.ts'

/** Every recipe, with its defaults. */
export function recipes(): readonly Extension[] {
  return [aiContent()]
}
