import type { ResolvedConfig } from './resolved-config.ts'

export type ConfigDescription = Readonly<Record<string, string | number | boolean | null>>

/** The configuration for the log at the start: flat, and without secrets. */
export function describeConfig(config: ResolvedConfig): ConfigDescription {
  const store = config.objectStore
  return {
    dataDir: config.dataDir,
    database:
      config.database.kind === 'pglite' ? 'PGlite' : describeDatabase(config.database.connectionString.reveal()),
    objectStore: store.kind === 'embedded' ? 'embedded S3' : `s3://${store.bucket}`,
    ...(store.kind === 's3' && {
      region: store.region,
      endpoint: store.endpoint,
      publicEndpoint: store.publicEndpoint,
      forcePathStyle: store.forcePathStyle,
      dualStack: store.dualStack,
      credentials: store.credentials
        ? 'access key'
        : store.profile
          ? `profile ${store.profile}`
          : 'found by the AWS SDK',
    }),
    replica: config.replica && describeReplica(config.replica),
    fallback: config.fallback !== null && store.kind === 's3',
    collections: [...config.collections.keys()].join(', '),
    importAllowHosts: config.imports.allowHosts.join(', '),
    importAllowHttp: config.imports.allowHttp,
    allowedOrigins: config.http.corsOrigins.join(', '),
    urlExpiresIn: config.urls.expiresIn,
    baseUrl: config.urls.baseUrl,
    links:
      config.delivery.cloudfront === null ? 'signed for the bucket' : `signed for ${config.delivery.cloudfront.url}`,
    http: `${config.http.host}:${config.http.port}`,
    // Not by the names of the settings: the log takes what is under those for secrets.
    keyOrigin: config.http.apiKey ? 'given' : 'generated',
    tokens: describeJwt(config),
    // Hosts only: a receiver's path may be its secret.
    webhooks: config.webhooks.endpoints.map(({ name, url }) => name ?? new URL(url.reveal()).host).join(', '),
    scheduled: Object.entries(config.upkeep)
      .map(([name, { cron }]) => `${name} (${cron})`)
      .join(', '),
    logLevel: config.logLevel,
  }
}

function describeReplica({ bucket, endpoint, region }: NonNullable<ResolvedConfig['replica']>): string {
  return `s3://${bucket} (${endpoint ?? region})`
}

/** Host and database only: user, password and options are nobody's business. */
function describeDatabase(connectionString: string): string {
  const url = new URL(connectionString)
  return `PostgreSQL ${url.host || 'local'}${url.pathname}`
}

function describeJwt(config: ResolvedConfig): string {
  const { jwt } = config.http
  if (!jwt) return 'none'
  const keys = 'secret' in jwt.keys ? 'HS256' : `JWKS of ${new URL(jwt.keys.jwksUrl).host}`
  return `${keys}, audience ${jwt.audience}${jwt.issuer === null ? '' : `, issuer ${jwt.issuer}`}`
}
