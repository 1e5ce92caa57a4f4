/**
 * Five systems that apps of today build by hand, each on Keepsake's public doors alone: read them as examples, use them
 * as they are. A server without a configuration file mounts all of them.
 */
import type { Extension } from '../index.ts'
import { aiContent } from './000-ai-content/index.ts'
import { echoes } from './001-echoes/index.ts'

export * from './000-ai-content/index.ts'
export * from './001-echoes/index.ts'

export type RecipesOptions = {
  /** Where recipes read the variables of their own documents. Default: `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>
}

/** Every recipe, with its defaults. */
export function recipes({ env = process.env }: RecipesOptions = {}): readonly Extension[] {
  return [aiContent(), echoes({ env })]
}
