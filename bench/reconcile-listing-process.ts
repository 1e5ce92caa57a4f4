import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import pg from 'pg'
import { z } from 'zod'
import { compareObjectKeys } from '../src/stores/index.ts'
import { serveParent } from './child.ts'

/**
 * A bucket with the objects of a catalogue's rows, except for what is planted, that answers ListObjectsV2 with real
 * pages of XML, HEAD, and what else a scan asks for. It has no bytes: a million files take longer to make than to compare.
 */
const message = z.object({ databaseUrl: z.string(), orphans: z.int(), missing: z.int(), mismatches: z.int() })

type Entry = { readonly key: string; readonly size: number; readonly asset: string }
let entries: Entry[] = []
let byKey = new Map<string, Entry>()
const written = new Map<string, Buffer>()
const modified = new Date(Date.now() - 3 * 86_400_000)

async function load({ databaseUrl, orphans, missing, mismatches }: z.output<typeof message>): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const { rows } = await client.query<{ key: string; size: string; id: string }>({
    text: 'select key, size, id from keepsake.assets order by key',
  })
  await client.end()
  const total = rows.length
  const every = (count: number) => Math.floor(total / count)
  const planted: Entry[] = []
  entries = []
  for (const [index, { key, size, id }] of rows.entries()) {
    if (index % every(orphans) === 7 && planted.length < orphans) {
      planted.push({ key: `${key.slice(0, -4)}-left.png`, size: 4711, asset: id })
    }
    if (index % every(missing) === 11 && index / every(missing) < missing) continue
    const isUnlike = index % every(mismatches) === 13 && index / every(mismatches) < mismatches
    entries.push({ key, size: Number(size) + (isUnlike ? 1 : 0), asset: id })
  }
  entries.push(...planted)
  entries.sort((a, b) => compareObjectKeys(a.key, b.key))
  byKey = new Map(entries.map((entry) => [entry.key, entry]))
  return entries.length
}

/** The index of the first entry after a key. */
function indexAfter(key: string): number {
  let [low, high] = [0, entries.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareObjectKeys(entries[middle]?.key ?? '', key) <= 0) low = middle + 1
    else high = middle
  }
  return low
}

function list(url: URL): string {
  const token = url.searchParams.get('continuation-token')
  const start = token === null ? indexAfter(url.searchParams.get('start-after') ?? '') : Number(token)
  const end = Math.min(start + Number(url.searchParams.get('max-keys') ?? 1000), entries.length)
  const at = modified.toISOString()
  let xml =
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>media</Name><EncodingType>url</EncodingType>'
  xml += `<KeyCount>${end - start}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>${end < entries.length}</IsTruncated>`
  if (end < entries.length) xml += `<NextContinuationToken>${end}</NextContinuationToken>`
  for (let index = start; index < end; index += 1) {
    const { key = '', size = 0 } = entries[index] ?? {}
    xml += `<Contents><Key>${key}</Key><LastModified>${at}</LastModified><ETag>&quot;${etag(index)}&quot;</ETag><Size>${size}</Size><StorageClass>STANDARD</StorageClass></Contents>`
  }
  return `${xml}</ListBucketResult>`
}

function etag(index: number): string {
  return index.toString(16).padStart(32, '0')
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost')
  const key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'))
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  if (request.method === 'PUT') {
    written.set(key, Buffer.concat(chunks))
    response.writeHead(200, { etag: '"0"' }).end()
  } else if (key === '' && url.searchParams.has('uploads')) {
    response
      .writeHead(200)
      .end('<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>')
  } else if (key === '') {
    response.writeHead(200, { 'content-type': 'application/xml' }).end(request.method === 'HEAD' ? '' : list(url))
  } else {
    const [bytes, entry] = [written.get(key), byKey.get(key)]
    if (bytes === undefined && entry === undefined) {
      response.writeHead(404).end(request.method === 'HEAD' ? '' : '<Error><Code>NoSuchKey</Code></Error>')
      return
    }
    response.writeHead(200, {
      'content-length': bytes?.length ?? entry?.size ?? 0,
      etag: '"0"',
      'last-modified': (bytes ? new Date() : modified).toUTCString(),
      ...(entry
        ? { 'x-amz-meta-asset': entry.asset, 'x-amz-meta-owner': 'ada', 'x-amz-meta-collection': 'generations' }
        : {}),
    })
    response.end(request.method === 'HEAD' ? undefined : bytes)
  }
}

const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy())
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
serveParent(
  async (given) => {
    const objects = await load(message.parse(given))
    const address = server.address()
    return { port: typeof address === 'object' && address ? address.port : 0, objects }
  },
  async () => {
    server.closeAllConnections()
    server.close()
  },
)
