import type { EnvironmentSettings } from './environment.ts'
import type { ParsedConfig } from './keepsake-config.ts'

/** The environment in the configuration's shape. */
export function environmentLayer(settings: EnvironmentSettings): ParsedConfig {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = settings
  const { KEEPSAKE_REPLICA_ACCESS_KEY_ID: replicaId, KEEPSAKE_REPLICA_SECRET_ACCESS_KEY: replicaSecret } = settings
  const { KEEPSAKE_WEBHOOK_URL: url, KEEPSAKE_WEBHOOK_SECRET: secret } = settings
  return {
    dataDir: settings.KEEPSAKE_DATA_DIR,
    databaseUrl: settings.DATABASE_URL,
    s3: {
      bucket: settings.S3_BUCKET_NAME,
      region: settings.AWS_REGION,
      endpoint: settings.S3_ENDPOINT,
      publicEndpoint: settings.S3_PUBLIC_ENDPOINT,
      baseUrl: settings.S3_BASE_URL,
      forcePathStyle: settings.S3_FORCE_PATH_STYLE,
      provider: settings.S3_PROVIDER,
      dualStack: settings.AWS_USE_DUALSTACK_ENDPOINT,
      profile: settings.AWS_PROFILE,
      ...(accessKeyId !== undefined &&
        secretAccessKey !== undefined && {
          credentials: {
            accessKeyId,
            secretAccessKey,
            sessionToken: settings.AWS_SESSION_TOKEN,
            expiration: settings.AWS_CREDENTIAL_EXPIRATION,
          },
        }),
    },
    embeddedS3: { port: settings.KEEPSAKE_S3_PORT },
    replica: {
      bucket: settings.KEEPSAKE_REPLICA_BUCKET,
      region: settings.KEEPSAKE_REPLICA_REGION,
      endpoint: settings.KEEPSAKE_REPLICA_ENDPOINT,
      publicEndpoint: settings.KEEPSAKE_REPLICA_PUBLIC_ENDPOINT,
      forcePathStyle: settings.KEEPSAKE_REPLICA_FORCE_PATH_STYLE,
      provider: settings.KEEPSAKE_REPLICA_PROVIDER,
      profile: settings.KEEPSAKE_REPLICA_PROFILE,
      ...(replicaId !== undefined &&
        replicaSecret !== undefined && {
          credentials: {
            accessKeyId: replicaId,
            secretAccessKey: replicaSecret,
            sessionToken: settings.KEEPSAKE_REPLICA_SESSION_TOKEN,
            expiration: settings.KEEPSAKE_REPLICA_CREDENTIAL_EXPIRATION,
          },
        }),
      deleteAfter: settings.KEEPSAKE_REPLICA_DELETE_AFTER,
      copiedBy: settings.KEEPSAKE_REPLICA_COPIED_BY,
    },
    fallback: {
      enabled: settings.KEEPSAKE_FALLBACK,
      port: settings.KEEPSAKE_FALLBACK_PORT,
      publicEndpoint: settings.KEEPSAKE_FALLBACK_PUBLIC_ENDPOINT,
      minFree: settings.KEEPSAKE_FALLBACK_MIN_FREE,
    },
    bucket: {
      app: settings.KEEPSAKE_BUCKET_APP,
      env: settings.KEEPSAKE_BUCKET_ENV,
      origins: settings.KEEPSAKE_BUCKET_ORIGINS,
      kmsKey: settings.KEEPSAKE_BUCKET_KMS_KEY,
    },
    imports: { allowHosts: settings.KEEPSAKE_IMPORT_ALLOW_HOSTS, allowHttp: settings.KEEPSAKE_IMPORT_ALLOW_HTTP },
    uploads: {
      partThreshold: settings.KEEPSAKE_UPLOAD_PART_THRESHOLD,
      partSize: settings.KEEPSAKE_UPLOAD_PART_SIZE,
    },
    urls: { expiresIn: settings.S3_PRESIGNED_URL_EXPIRATION },
    delivery: {
      cloudfront: {
        domain: settings.KEEPSAKE_CLOUDFRONT_DOMAIN,
        keyPairId: settings.KEEPSAKE_CLOUDFRONT_KEY_PAIR_ID,
        privateKey: settings.KEEPSAKE_CLOUDFRONT_PRIVATE_KEY,
        privateKeyFile: settings.KEEPSAKE_CLOUDFRONT_PRIVATE_KEY_FILE,
        hash: settings.KEEPSAKE_CLOUDFRONT_HASH,
      },
    },
    http: {
      port: settings.PORT,
      host: settings.HOST,
      apiKey: settings.KEEPSAKE_API_KEY,
      corsOrigins: settings.KEEPSAKE_ALLOWED_ORIGINS,
      jwt: {
        secret: settings.KEEPSAKE_JWT_SECRET,
        jwksUrl: settings.KEEPSAKE_JWKS_URL,
        audience: settings.KEEPSAKE_JWT_AUDIENCE,
        issuer: settings.KEEPSAKE_JWT_ISSUER,
      },
    },
    ...(url !== undefined && secret !== undefined && { webhooks: [{ url, secret }] }),
    webhookAllowHosts: settings.KEEPSAKE_WEBHOOK_ALLOW_HOSTS,
    logLevel: settings.KEEPSAKE_LOG_LEVEL,
  }
}
