import { createServer } from 'node:http'
import { listenOnLoopback } from '../test/support/listen.ts'
import { pictureBytes } from '../test/support/picture.ts'
import { serveParent } from './child.ts'
import { videoBytes } from './video.ts'

/** The provider: answers `/<bytes>/<any name>` with a picture, or with a video above a megabyte, from memory. */
const made = new Map<number, Promise<Buffer>>()

const server = createServer((request, response) => {
  const size = Number(request.url?.split('/')[1])
  const bytes = made.get(size) ?? make(size)
  made.set(size, bytes)
  bytes.then(
    (body) => {
      const type = size > 1_000_000 ? 'video/mp4' : 'image/png'
      response.writeHead(200, { 'content-type': type, 'content-length': body.length }).end(body)
    },
    () => response.destroy(),
  )
})

function make(size: number): Promise<Buffer> {
  return size > 1_000_000 ? videoBytes(size) : Promise.resolve(pictureBytes({ id: 'bench', size }))
}

serveParent(
  async () => ({ port: await listenOnLoopback(server) }),
  async () => {
    server.close()
    server.closeAllConnections()
  },
)
