import { type Operation, xmlReply } from '../operation.ts'
import { S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html: empty where there never was any. */
export const getBucketVersioning: Operation = {
  name: 'GetBucketVersioning',
  method: 'GET',
  action: 's3:GetBucketVersioning',
  target: 'bucket',
  subresource: 'versioning',
  handle: () => xmlReply(`${XML_DECLARATION}<VersioningConfiguration xmlns="${S3_NAMESPACE}"/>`),
}
