/**
 * Other spellings of settings, each with the name that Keepsake documents. The teams whose documents Keepsake grew
 * from spelled them this way, and the AWS tools have their own for two.
 */
export const aliases = {
  AWS_BUCKET_NAME: 'S3_BUCKET_NAME',
  AWS_S3_BUCKET_NAME: 'S3_BUCKET_NAME',
  S3_BUCKET: 'S3_BUCKET_NAME',
  S3_PUBLIC_BASE: 'S3_BASE_URL',
  S3_PRESIGNED_URL_EXPIRY: 'S3_PRESIGNED_URL_EXPIRATION',
  AWS_DEFAULT_REGION: 'AWS_REGION',
  AWS_ENDPOINT_URL_S3: 'S3_ENDPOINT',
} as const
