import { S3Error } from '../errors.ts'
import { pageSize } from '../multipart.ts'
import { type Operation, xmlReply } from '../operation.ts'
import { queryValue } from '../request.ts'
import type { MultipartUpload } from '../store/multipart-store.ts'
import { element, S3_NAMESPACE, urlEncode, XML_DECLARATION } from '../xml.ts'

const MAX = 1000

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html */
export const listMultipartUploads: Operation = {
  name: 'ListMultipartUploads',
  method: 'GET',
  action: 's3:ListBucketMultipartUploads',
  target: 'bucket',
  subresource: 'uploads',
  query: ['prefix', 'delimiter', 'key-marker', 'upload-id-marker', 'max-uploads', 'encoding-type'],
  handle({ request, store, ownerId }) {
    const value = (name: string) => queryValue(request, name) ?? ''
    const [prefix, delimiter, keyMarker, idMarker] = [
      value('prefix'),
      value('delimiter'),
      value('key-marker'),
      value('upload-id-marker'),
    ]
    const encodingType = value('encoding-type')
    if (encodingType !== '' && encodingType !== 'url') {
      throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request')
    }
    const encode = encodingType === 'url' ? urlEncode : (text: string) => text
    const max = pageSize(request, 'max-uploads', MAX)

    const matching = store.multipart.list(request.bucket).filter(({ key }) => key.startsWith(prefix))
    const uploads: MultipartUpload[] = []
    const commonPrefixes: string[] = []
    let last: { key: string; id: string } | undefined
    let truncated = false
    for (const upload of afterMarker(matching, keyMarker, idMarker)) {
      const cut = delimiter === '' ? -1 : upload.key.indexOf(delimiter, prefix.length)
      const common = cut < 0 ? undefined : upload.key.slice(0, cut + delimiter.length)
      if (common !== undefined && (commonPrefixes.at(-1) === common || keyMarker === common)) continue
      if (uploads.length + commonPrefixes.length === max) {
        truncated = true
        break
      }
      if (common === undefined) uploads.push(upload)
      else commonPrefixes.push(common)
      last = common === undefined ? upload : { key: common, id: '' }
    }
    return xmlReply(
      `${XML_DECLARATION}<ListMultipartUploadsResult xmlns="${S3_NAMESPACE}">` +
        element('Bucket', request.bucket) +
        element('KeyMarker', encode(keyMarker)) +
        element('UploadIdMarker', idMarker) +
        (truncated && last ? element('NextKeyMarker', encode(last.key)) + element('NextUploadIdMarker', last.id) : '') +
        element('Prefix', encode(prefix)) +
        (delimiter === '' ? '' : element('Delimiter', encode(delimiter))) +
        (encodingType === '' ? '' : element('EncodingType', encodingType)) +
        element('MaxUploads', String(max)) +
        element('IsTruncated', String(truncated)) +
        uploads.map((upload) => uploadXml(upload, encode, ownerId)).join('') +
        commonPrefixes
          .map((common) => `<CommonPrefixes>${element('Prefix', encode(common))}</CommonPrefixes>`)
          .join('') +
        '</ListMultipartUploadsResult>',
    )
  },
}

/** "If upload-id-marker is not specified, only the keys lexicographically greater than the key-marker are listed." */
function afterMarker(uploads: readonly MultipartUpload[], key: string, id: string): readonly MultipartUpload[] {
  if (key === '') return uploads
  const marker = id === '' ? -1 : uploads.findIndex((upload) => upload.key === key && upload.id === id)
  if (marker >= 0) return uploads.slice(marker + 1)
  return uploads.filter((upload) => Buffer.compare(Buffer.from(upload.key), Buffer.from(key)) > 0)
}

function uploadXml(upload: MultipartUpload, encode: (text: string) => string, ownerId: string): string {
  return (
    `<Upload>${element('Key', encode(upload.key))}${element('UploadId', upload.id)}` +
    `<Initiator>${element('ID', ownerId)}</Initiator><Owner>${element('ID', ownerId)}</Owner>` +
    `${element('StorageClass', 'STANDARD')}${element('Initiated', new Date(upload.initiated).toISOString())}</Upload>`
  )
}
