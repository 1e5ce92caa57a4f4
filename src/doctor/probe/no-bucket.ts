/** S3's code for it. */
export const noBucket = 'NoSuchBucket'

/** No permission mends that. */
export const makeBucket = { fix: 'keepsake bucket apply makes the bucket; or set S3_BUCKET_NAME or S3_ENDPOINT right.' }
