/**
 * The permission that a request needs, by its IAM name (AWS, "Required permissions for Amazon S3 API operations"): what
 * a policy has to allow, and what an operator looks for.
 */
export function actionOf(request: {
  readonly method: string
  readonly key?: string | undefined
  readonly query?: readonly (readonly [name: string, value: string])[]
  readonly headers?: Readonly<Record<string, string>>
}): string {
  const { method, key, query = [], headers = {} } = request
  const asks = (name: string) => query.some(([asked]) => asked === name)
  if (method === 'POST' && asks('delete')) return 's3:DeleteObject'
  if (key === undefined) return asks('uploads') ? 's3:ListBucketMultipartUploads' : 's3:ListBucket'
  if (method === 'GET' && asks('uploadId')) return 's3:ListMultipartUploadParts'
  if (method === 'DELETE') return asks('uploadId') ? 's3:AbortMultipartUpload' : 's3:DeleteObject'
  if (method === 'GET' || method === 'HEAD') return 's3:GetObject'
  // Copies read their source too.
  return 'x-amz-copy-source' in headers ? 's3:PutObject, or s3:GetObject on the source,' : 's3:PutObject'
}

export type Denial = {
  /** `s3:PutObject`, or what of another service is missing behind it, such as `kms:GenerateDataKey`. */
  readonly action?: string
  /** Why, as far as S3 says it. */
  readonly why?: string
}

/** What S3's own message tells of a refusal (AWS, "Troubleshoot access denied (403 Forbidden) errors in Amazon S3"). */
export function readDenial(message: string | undefined): Denial {
  if (message === undefined) return {}
  const action = /not authorized to perform: ([a-z0-9-]{2,32}:[A-Za-z]{2,64})\b/.exec(message)?.[1]
  const denying = /explicit deny in (?:an? |the )([a-z -]{2,64}?policy)\b/.exec(message)?.[1]
  const silent = /because no ([a-z -]{2,64}?policy) allows\b/.exec(message)?.[1]
  const why = denying ? `an explicit deny in a ${denying} forbids it` : silent ? `no ${silent} allows it` : undefined
  return { ...(action === undefined ? {} : { action }), ...(why === undefined ? {} : { why }) }
}
