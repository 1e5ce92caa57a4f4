import { createServer, request } from 'node:http'
import { listenOnLoopback } from '../../../test/support/listen.ts'

/** A call as it went over the wire: what S3 judges it by. */
export type Recorded = {
  readonly method: string
  readonly bucket: string
  readonly key: string
  readonly query: URLSearchParams
  readonly copySource: string | undefined
  /** What a DeleteObjects names. */
  readonly deletes: readonly string[]
  readonly status: number
}

export type Recorder = {
  readonly url: string
  readonly calls: Recorded[]
  close(): Promise<void>
}

/** Stands before a store and writes down every request. The Host header stays, so signatures hold. */
export async function startRecorder(target: string): Promise<Recorder> {
  const calls: Recorded[] = []
  const server = createServer((incoming, response) => {
    const { method = '', headers } = incoming
    const url = new URL(incoming.url ?? '/', target)
    const pieces: Buffer[] = []
    if (url.searchParams.has('delete')) incoming.on('data', (piece: Buffer) => pieces.push(piece))
    const onward = request(new URL(incoming.url ?? '/', target), { method, headers, setHost: false }, (answer) => {
      const [bucket = '', ...key] = url.pathname.slice(1).split('/').map(decodeURIComponent)
      const source = headers['x-amz-copy-source']
      calls.push({
        method,
        bucket,
        key: key.join('/'),
        query: url.searchParams,
        copySource: typeof source === 'string' ? decodeURIComponent(source).replace(/^\//, '') : undefined,
        deletes: [
          ...Buffer.concat(pieces)
            .toString()
            .matchAll(/<Key>(.*?)<\/Key>/g),
        ].map((match) => match[1] ?? ''),
        status: answer.statusCode ?? 0,
      })
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    onward.on('error', () => response.destroy())
    incoming.pipe(onward)
  })
  const port = await listenOnLoopback(server)
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
