import { type Operation, xmlReply } from '../operation.ts'
import { element, S3_NAMESPACE, XML_DECLARATION } from '../xml.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html */
export const listBuckets: Operation = {
  name: 'ListBuckets',
  method: 'GET',
  action: 's3:ListAllMyBuckets',
  target: 'service',
  withoutBucket: true,
  handle({ store, ownerId }) {
    const buckets = store
      .buckets()
      .map(
        ({ name, created }) =>
          `<Bucket>${element('Name', name)}${element('CreationDate', new Date(created).toISOString())}</Bucket>`,
      )
    return xmlReply(
      `${XML_DECLARATION}<ListAllMyBucketsResult xmlns="${S3_NAMESPACE}"><Owner>${element('ID', ownerId)}</Owner>` +
        `<Buckets>${buckets.join('')}</Buckets></ListAllMyBucketsResult>`,
    )
  },
}
