import { S3Error } from '../errors.ts'
import { type Operation, type Reply, xmlReply } from '../operation.ts'
import { refuseVersion } from '../versions.ts'
import { element, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketAcl.html */
export const getBucketAcl: Operation = {
  name: 'GetBucketAcl',
  method: 'GET',
  action: 's3:GetBucketAcl',
  target: 'bucket',
  subresource: 'acl',
  handle: ({ ownerId }) => ownersOnly(ownerId),
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAcl.html */
export const getObjectAcl: Operation = {
  name: 'GetObjectAcl',
  method: 'GET',
  action: 's3:GetObjectAcl',
  target: 'object',
  subresource: 'acl',
  query: ['versionId'],
  handle({ request, store, ownerId }) {
    refuseVersion(request)
    if (store.exists(request.bucket, request.key)) return ownersOnly(ownerId)
    throw new S3Error('NoSuchKey', undefined, { Key: request.key })
  },
}

/** There are no grants to others here, which is what BucketOwnerEnforced means on AWS. */
function ownersOnly(ownerId: string): Reply {
  const owner = element('ID', ownerId)
  return xmlReply(
    `${XML_DECLARATION}<AccessControlPolicy xmlns="${S3_NAMESPACE}"><Owner>${owner}</Owner><AccessControlList><Grant>` +
      `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">${owner}</Grantee>` +
      '<Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>',
  )
}
