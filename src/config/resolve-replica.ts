import type { EnvironmentSettings } from './environment.ts'
import type { ParsedConfig } from './keepsake-config.ts'
import type { Problems } from './problems.ts'
import { resolveCredentials } from './resolve-credentials.ts'
import type { EmbeddedS3Config, ReplicaConfig, S3Config } from './resolved-config.ts'

type Pick = <T>(read: (layer: ParsedConfig) => T | undefined) => T | undefined
type Settings = NonNullable<ParsedConfig['replica']>

const week = 7 * 86_400

/**
 * The copy of the bucket elsewhere. Its credentials (or a profile) come from one source; without any they are the bucket's
 * own, where both are at the same endpoint.
 */
export function resolveReplica(
  pick: Pick,
  primary: S3Config | EmbeddedS3Config,
  settings: EnvironmentSettings,
  pathStyle: (bucket: string, endpoint: string | null) => boolean,
  problems: Problems,
): ReplicaConfig | null {
  const given = <T>(read: (replica: Settings) => T | undefined) => pick(({ replica }) => replica && read(replica))
  const { KEEPSAKE_REPLICA_ACCESS_KEY_ID: id, KEEPSAKE_REPLICA_SECRET_ACCESS_KEY: secret } = settings
  if ((id === undefined) !== (secret === undefined)) {
    const missing = id === undefined ? 'KEEPSAKE_REPLICA_ACCESS_KEY_ID' : 'KEEPSAKE_REPLICA_SECRET_ACCESS_KEY'
    problems.add(missing, `${missing} is not set, but its other half is. Set both, or neither.`)
  }
  const bucket = given((one) => one.bucket)
  if (bucket === undefined) {
    if (given((one) => one.endpoint ?? one.profile ?? one.credentials ?? one.region) === undefined) return null
    problems.add(
      'KEEPSAKE_REPLICA_BUCKET',
      'KEEPSAKE_REPLICA_BUCKET is not set, and other settings of a replica are. Name its bucket, or unset them.',
    )
    return null
  }
  const endpoint = given((one) => one.endpoint) ?? null
  const region = given((one) => one.region) ?? 'us-east-1'
  const isBesides = primary.kind === 's3' && primary.endpoint === endpoint
  if (isBesides && primary.bucket === bucket && (endpoint === null || primary.region === region)) {
    problems.add(
      'KEEPSAKE_REPLICA_BUCKET',
      `KEEPSAKE_REPLICA_BUCKET is '${bucket}', the bucket itself. A replica is another one, best in another region.`,
    )
  }
  const identity = given((one) => (one.credentials || one.profile ? one : undefined))
  const own = identity?.credentials && resolveCredentials(identity.credentials)
  const shared = identity === undefined && isBesides ? primary : undefined
  return {
    kind: 's3',
    bucket,
    region,
    endpoint,
    publicEndpoint: given((one) => one.publicEndpoint) ?? null,
    forcePathStyle: given((one) => one.forcePathStyle) ?? pathStyle(bucket, endpoint),
    provider: given((one) => one.provider) ?? null,
    // The environment's word about the endpoints of AWS is about all of them.
    dualStack: endpoint === null && (pick(({ s3 }) => s3?.dualStack) ?? false),
    credentials: own ?? shared?.credentials ?? null,
    profile: identity?.profile ?? shared?.profile ?? null,
    deleteAfter: given((one) => one.deleteAfter) ?? week,
    copiedBy: given((one) => one.copiedBy) ?? (replicatesItself(pick, primary, bucket) ? 'store' : 'keepsake'),
  }
}

/** Whether `keepsake bucket` sets up the bucket's own replication to this very one. */
function replicatesItself(pick: Pick, primary: S3Config | EmbeddedS3Config, bucket: string): boolean {
  const replication = pick((layer) => layer.bucket?.replication)
  return replication !== undefined && (replication.bucket ?? `${primary.bucket}-replica`) === bucket
}
