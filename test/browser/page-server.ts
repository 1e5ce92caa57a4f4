import { createServer, type RequestListener } from 'node:http'
import { join } from 'node:path'
import { build } from 'vite'
import { listenOnLoopback } from '../support/listen.ts'

/** A page of pages/, bundled as an app's would be. */
async function bundle(name: string): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    // As in development: React then runs effects twice, which is what breaks first.
    define: { 'process.env.NODE_ENV': '"development"' },
    build: {
      ...{ write: false, minify: false, modulePreload: false, target: 'es2024' },
      rollupOptions: { input: join(import.meta.dirname, 'pages', name) },
    },
  })
  const chunk = [built].flat().flatMap((result) => ('output' in result ? result.output : []))[0]
  if (chunk?.type !== 'chunk') throw new Error(`${name} was not bundled.`)
  return chunk.code
}

const html = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Keepsake</title>
<style>body { font: 16px sans-serif; margin: 2em } progress { width: 20em } img, video { max-width: 12em }</style>
<h1>Keepsake</h1><input type="file" multiple><div id="root"></div><script type="module" src="/page.js"></script></html>`

/** Serves one page at an origin of its own. */
export async function servePage(name: string) {
  const script = await bundle(name)
  const mounted = new Map<string, RequestListener>()
  const server = createServer((request, response) => {
    const { url = '/' } = request
    for (const [path, listener] of mounted) if (url.startsWith(`${path}/`)) return listener(request, response)
    if (url === '/') response.writeHead(200, { 'content-type': 'text/html' }).end(html)
    else if (url === '/page.js') response.writeHead(200, { 'content-type': 'text/javascript' }).end(script)
    else response.writeHead(404).end()
    return undefined
  })
  const port = await listenOnLoopback(server)
  return {
    url: `http://127.0.0.1:${port}`,
    /** What else answers at this origin, below a path. */
    mount: (path: string, listener: RequestListener) => void mounted.set(path, listener),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
