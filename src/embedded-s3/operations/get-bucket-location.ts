import { type Operation, xmlReply } from '../operation.ts'
import { escapeXml, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html */
export const getBucketLocation: Operation = {
  name: 'GetBucketLocation',
  method: 'GET',
  action: 's3:GetBucketLocation',
  target: 'bucket',
  subresource: 'location',
  handle({ region }) {
    // "Buckets in Region us-east-1 have a LocationConstraint of null."
    const location = region === 'us-east-1' ? '' : escapeXml(region)
    return xmlReply(`${XML_DECLARATION}<LocationConstraint xmlns="${S3_NAMESPACE}">${location}</LocationConstraint>`)
  },
}
