import { isPublic, parsePolicy } from '../bucket-policy.ts'
import { S3Error } from '../errors.ts'
import { type Operation, xmlReply } from '../operation.ts'
import { element, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicyStatus.html */
export const getBucketPolicyStatus: Operation = {
  name: 'GetBucketPolicyStatus',
  method: 'GET',
  action: 's3:GetBucketPolicyStatus',
  target: 'bucket',
  subresource: 'policyStatus',
  handle({ request, store }) {
    const document = store.bucket(request.bucket)?.settings.policy
    if (document === undefined) throw new S3Error('NoSuchBucketPolicy', undefined, { BucketName: request.bucket })
    const status = isPublic(parsePolicy(document, request.bucket))
    return xmlReply(
      `${XML_DECLARATION}<PolicyStatus xmlns="${S3_NAMESPACE}">${element('IsPublic', String(status))}</PolicyStatus>`,
    )
  },
}
