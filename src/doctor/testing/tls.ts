import type { AddressInfo } from 'node:net'
import { connect, type Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'

/** Speaks TLS in front of a port of this machine, as a proxy does. */
export async function startTls(
  port: number,
  certificate: { readonly key: string; readonly cert: string },
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const sockets = new Set<TLSSocket | Socket>()
  const server = createServer(certificate, (secure) => {
    const plain = connect(port, '127.0.0.1')
    for (const socket of [secure, plain]) {
      sockets.add(socket)
      socket.on('error', () => {
        secure.destroy()
        plain.destroy()
      })
      socket.on('close', () => sockets.delete(socket))
    }
    secure.pipe(plain).pipe(secure)
  })
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
