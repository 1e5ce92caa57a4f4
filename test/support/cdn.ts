import type { KeyObject } from 'node:crypto'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { judge } from '../../src/delivery/testing/index.ts'
import type { ObjectStore } from '../../src/stores/index.ts'

/**
 * A stand-in for a CloudFront distribution as `keepsake bucket export cloudfront` makes it: what is not under a public
 * prefix takes a signed link, the origin is read by credentials of its own, and of a query only
 * response-content-disposition is handed on.
 */
export async function startCdn(options: {
  readonly store: ObjectStore
  readonly publicKey: KeyObject
  readonly keyPairId: string
  readonly publicPrefixes?: readonly string[]
}) {
  const { store, publicKey, keyPairId, publicPrefixes = [] } = options
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', `http://${request.headers.host}`)
    const key = decodeURIComponent(url.pathname.slice(1))
    const isOpen = publicPrefixes.some((prefix) => key.startsWith(prefix))
    // As it came: what it was signed for is compared byte by byte.
    const link = `http://${request.headers.host}${request.url}`
    if (!isOpen && judge(link, { publicKey, keyPairId, now: new Date() }) === 'denied') {
      response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>')
      return
    }
    const contentDisposition = url.searchParams.get('response-content-disposition')
    const response_ = contentDisposition === null ? {} : { response: { contentDisposition } }
    const origin = await fetch(store.signGet(key, { expiresIn: 60, ...response_ }).url)
    response.writeHead(origin.status, Object.fromEntries(origin.headers))
    if (origin.body === null) response.end()
    else await pipeline(Readable.fromWeb(origin.body), response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port.')
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
