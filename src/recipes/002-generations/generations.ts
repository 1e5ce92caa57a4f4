import { type CollectionDefinition, type Extension, KeepsakeError, type SchemaSetting } from '../../index.ts'
import { collectionName } from './generation.ts'
import { relationSql } from './relation.ts'
import { addGenerationRoutes } from './routes.ts'

export type GenerationsOptions = {
  /** `private`: signed links. `public`: plain links under S3_BASE_URL. Default: private. */
  readonly access?: 'private' | 'public'
  /** Default: images, videos and audio. */
  readonly accept?: readonly string[]
  /** The largest file. Default: 100 MB. */
  readonly maxSize?: number | string
  /** How long files are kept. Default: for ever. */
  readonly keep?: number | string
  /** What one user may store in all. Default: no limit. */
  readonly quota?: number | string
  /**
   * Whether the relation is made: true; `embedded`, only in the embedded catalogue, and not in the database of
   * DATABASE_URL; or false. Default: true.
   */
  readonly relation?: boolean | 'embedded'
  /** The database schema that has the relation. Default: public. */
  readonly relationSchema?: string
  /** What this server is reached by, such as `https://media.example.com`, for `s3_url`. Default: nothing, a path. */
  readonly address?: string
}

/**
 * What users have generated (seed 002): `/api/generations`, and a relation `generations` with row-level security, for
 * SQL and for Supabase.
 *
 * @example
 * export default defineConfig({ extensions: [generations({ address: 'https://media.example.com' })] })
 */
export function generations(options: GenerationsOptions = {}): Extension {
  const { access = 'private', accept = ['image', 'video', 'audio'], maxSize = '100 MB', keep, quota } = options
  const collection: CollectionDefinition = {
    key: 'generations/{owner}/{generation_type}/{yyyy}/{mm}/{dd}/{id}.{ext}',
    accept: [...accept],
    maxSize,
    access,
    attributes: { generation_type: { required: true, maxLength: 50 } },
    keep,
    quota,
  }
  return {
    name: 'generations',
    collections: { [collectionName]: collection },
    schema: schemaOf(options, access),
    http: { path: '/api/generations', routes: addGenerationRoutes },
  }
}

function schemaOf(options: GenerationsOptions, access: 'private' | 'public') {
  const { relation = true, relationSchema: schema = 'public' } = options
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
    throw new KeepsakeError(
      'invalid_setting',
      `generations: relationSchema is '${schema}'. Allowed are lower-case letters, digits and _, and no digit in front.`,
    )
  }
  const address = addressOf(options.address)
  return ({ database, baseUrl }: SchemaSetting): string | null => {
    if (relation === false || (relation === 'embedded' && database !== 'pglite')) return null
    const publicBase = access === 'public' ? baseUrl : null
    return relationSql({ schema, collection: collectionName, address, publicBase })
  }
}

function addressOf(given = ''): string {
  if (given === '' || (URL.canParse(given) && /^https?:$/.test(new URL(given).protocol))) {
    return given.replace(/\/+$/, '')
  }
  throw new KeepsakeError(
    'invalid_setting',
    `generations: address is '${given}'. Allowed is what this server is reached by, such as https://media.example.com.`,
  )
}
