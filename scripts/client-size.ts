/** `keepsake/client` is promised to be small: what a page downloads for it is weighed here, as built for publishing. */
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'vite'
import { root } from './manifest.ts'

/** Bytes, minified and compressed. */
const limit = 4000

/** Bundles `dist/client` as a page would have it. @throws where it is too large, or needs what browsers do not have. */
export async function checkClientSize(): Promise<void> {
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      ...{ write: false, minify: true, target: 'es2024', modulePreload: false },
      rollupOptions: { input: join(root, 'dist/client/index.js'), preserveEntrySignatures: 'strict' },
    },
  })
  const outputs = [built].flat().flatMap((result) => ('output' in result ? result.output : []))
  const [chunk, ...others] = outputs
  if (chunk?.type !== 'chunk' || others.length > 0) throw new Error('keepsake/client is not one file when bundled.')
  if (/["'`]node:|__vite-browser-external/.test(chunk.code) || chunk.imports.length > 0) {
    throw new Error('keepsake/client imports what a browser does not have.')
  }
  for (const name of ['createClient', 'KeepsakeClientError']) {
    if (!chunk.exports.includes(name)) throw new Error(`keepsake/client was weighed without ${name}.`)
  }
  const size = gzipSync(chunk.code, { level: 9 }).length
  console.log(`  keepsake/client: ${size} bytes minified and compressed, of ${limit}`)
  if (size > limit) throw new Error(`keepsake/client has ${size} bytes minified and compressed; the limit is ${limit}.`)
}
