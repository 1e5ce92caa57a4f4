import type { Server } from 'node:net'

/** Binds a server to a free port of this machine's loopback and answers the port. */
export async function listenOnLoopback(server: Server): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(0, '127.0.0.1', resolve)
  await promise
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('A listening server has no address.')
  return address.port
}
