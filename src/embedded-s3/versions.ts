import { S3Error } from './errors.ts'
import { queryValue, type S3Request } from './request.ts'

/** "If versioning is not enabled, … the version ID of the object is null." There are no others here. */
export const NULL_VERSION = 'null'

/** Throws NoSuchVersion when a request is about a version that cannot be. */
export function refuseVersion(request: S3Request): void {
  const version = queryValue(request, 'versionId')
  if (version !== undefined && version !== NULL_VERSION) throw noSuchVersion(request.key, version)
}

export function noSuchVersion(key: string, version: string): S3Error {
  return new S3Error('NoSuchVersion', undefined, { Key: key, VersionId: version })
}
