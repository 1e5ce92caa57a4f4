import { createServer } from 'node:net'

/**
 * The port to listen on so that links made before a restart still work: the recorded one while it is free, else 0,
 * which lets the system choose. Somebody may still take it in between, so a listener must not rely on it.
 */
export async function preferredPort(recorded: number | undefined, host = '127.0.0.1'): Promise<number> {
  if (recorded === undefined || !Number.isInteger(recorded) || recorded < 1 || recorded > 65_535) return 0
  return await new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(0))
    probe.listen({ port: recorded, host, exclusive: true }, () => probe.close(() => resolve(recorded)))
  })
}
