import { createServer, type Server } from 'node:net'

/** Binds a server to a port of this machine's loopback, by default a free one, and answers the port. */
export async function listenOnLoopback(server: Server, wanted = 0): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(wanted, '127.0.0.1', resolve)
  await promise
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('A listening server has no address.')
  return address.port
}

/** A port that nobody had a moment ago, for a server that has to come back to the same address. */
export async function freePort(): Promise<number> {
  const server = createServer()
  const port = await listenOnLoopback(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}
