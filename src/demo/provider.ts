import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Provider = {
  /** `host:port`. */
  readonly host: string
  /** A link to a new picture that says itself when it dies, as S3's presigned URLs do. */
  publish(picture: Buffer, lifeSeconds: number): string
  close(): Promise<void>
}

/** An AI provider on loopback, as they all are: a picture behind a link that is dead after a while. */
export async function startProvider(): Promise<Provider> {
  const pictures = new Map<string, { picture: Buffer; dies: number }>()
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://provider')
    const found = pictures.get(pathname)
    if (found === undefined) return void response.writeHead(404).end()
    if (Date.now() >= found.dies) {
      const body = '<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>'
      return void response.writeHead(403, { 'content-type': 'application/xml' }).end(body)
    }
    response.writeHead(200, { 'content-type': 'image/png', 'content-length': found.picture.length }).end(found.picture)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const host = `127.0.0.1:${port}`
  return {
    host,
    publish(picture, lifeSeconds) {
      const path = `/private/img-${randomUUID()}.png`
      const now = new Date()
      pictures.set(path, { picture, dies: now.getTime() + lifeSeconds * 1000 })
      const date = now.toISOString().replace(/[-:]|\.\d+/g, '')
      return `http://${host}${path}?X-Amz-Date=${date}&X-Amz-Expires=${lifeSeconds}&X-Amz-Signature=${randomUUID().replaceAll('-', '')}`
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
