import { S3Error } from './errors.ts'
import { element, parseXml, S3_NAMESPACE, XML_DECLARATION } from './xml.ts'

/** There are no ACLs here, so two of the four have nothing to block. */
const SWITCHES = ['BlockPublicAcls', 'IgnorePublicAcls', 'BlockPublicPolicy', 'RestrictPublicBuckets'] as const

export type PublicAccessBlock = Readonly<Record<(typeof SWITCHES)[number], boolean>>

export function parsePublicAccessBlock(document: string): PublicAccessBlock {
  const root = parseXml(document)
  if (root.name !== 'PublicAccessBlockConfiguration') throw new S3Error('MalformedXML')
  const on = (name: string) => {
    const text =
      root.children
        .find((child) => child.name === name)
        ?.text.trim()
        .toLowerCase() ?? 'false'
    if (text !== 'true' && text !== 'false') throw new S3Error('MalformedXML')
    return text === 'true'
  }
  return {
    BlockPublicAcls: on('BlockPublicAcls'),
    IgnorePublicAcls: on('IgnorePublicAcls'),
    BlockPublicPolicy: on('BlockPublicPolicy'),
    RestrictPublicBuckets: on('RestrictPublicBuckets'),
  }
}

export function publicAccessBlockXml(block: PublicAccessBlock): string {
  const switches = SWITCHES.map((name) => element(name, String(block[name])))
  return `${XML_DECLARATION}<PublicAccessBlockConfiguration xmlns="${S3_NAMESPACE}">${switches.join('')}</PublicAccessBlockConfiguration>`
}

/** "By default, … Block Public Access settings are enabled for new buckets" (since April 2023). */
export const BLOCK_ALL = publicAccessBlockXml({
  BlockPublicAcls: true,
  IgnorePublicAcls: true,
  BlockPublicPolicy: true,
  RestrictPublicBuckets: true,
})
