import { type ChildProcess, spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { freePort } from '../support/listen.ts'
import { until } from '../support/service.ts'

const root = join(import.meta.dirname, '../..')

/** An app of Next, as the documentation tells to write it, built and served by Next itself. */
export type NextApp = { readonly url: string; close(): Promise<void> }

/** How its users are known; the documentation leaves that to the app. */
const session = `
export async function session(request: Request): Promise<{ id: string } | null> {
  const id = /(?:^|; )user=(\\w+)/.exec(request.headers.get('cookie') ?? '')?.[1]
  return id === undefined ? null : { id }
}
`
const layout = `
import type { ReactNode } from 'react'
export default function Layout({ children }: { children: ReactNode }) {
  return <html lang="en"><body>{children}</body></html>
}
`
const page = `
import { media } from '@/media'
import { App } from './gallery'
export const dynamic = 'force-dynamic'
export default async function Page() {
  const { keepsake } = await media()
  return <main><h1>{[...keepsake.collections.keys()].join()}</h1><App /></main>
}
`
const compilerOptions = {
  ...{ target: 'ES2022', lib: ['dom', 'dom.iterable', 'esnext'], strict: true, noEmit: true, skipLibCheck: true },
  ...{ module: 'esnext', moduleResolution: 'bundler', isolatedModules: true, esModuleInterop: true, jsx: 'react-jsx' },
  ...{ resolveJsonModule: true, allowJs: true, incremental: true, types: [], plugins: [{ name: 'next' }] },
  paths: { '@/*': ['./*'] },
}

/** Takes as long as Next's build does. The package is the one in `dist/`, which is built first. */
export async function buildNextApp(): Promise<NextApp> {
  await run([join(root, 'scripts/build.ts')], root)
  // Within this repository, for its dependencies; they include Next itself.
  const folder = await mkdtemp(join(root, '.next-app-'))
  let server: ChildProcess | undefined
  const close = async () => {
    if (server !== undefined && server.exitCode === null) {
      const closed = new Promise((resolve) => server?.once('close', resolve))
      server.kill()
      await closed
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    await writeApp(folder)
    const next = join(root, 'node_modules/next/dist/bin/next')
    await run([next, 'build'], folder)
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const output: string[] = []
    server = spawn(process.execPath, [next, 'start', '-H', '127.0.0.1', '-p', `${port}`], {
      cwd: folder,
      env: { ...environment, KEEPSAKE_ALLOWED_ORIGINS: url },
    })
    for (const stream of [server.stdout, server.stderr]) stream?.on('data', (text) => output.push(`${text}`))
    await until(
      async () =>
        server?.exitCode === null
          ? fetch(url).then(
              ({ status }) => status,
              () => 0,
            )
          : -1,
      (status) => status !== 0,
    )
    if (server.exitCode !== null) throw new Error(`Next does not start:\n${output.join('')}`)
    return { url, close }
  } catch (error) {
    await close()
    throw error
  }
}

const environment = { PATH: process.env.PATH, HOME: process.env.HOME, NEXT_TELEMETRY_DISABLED: '1', CI: 'true' }

async function writeApp(folder: string): Promise<void> {
  const files = new Map<string, string>([
    ['package.json', JSON.stringify({ name: 'app', private: true, type: 'module' })],
    ['tsconfig.json', JSON.stringify({ compilerOptions, include: ['**/*.ts', '**/*.tsx'], exclude: ['node_modules'] })],
    ['session.ts', session],
    ['app/layout.tsx', layout],
    ['app/page.tsx', page],
  ])
  const guide = await readFile(join(root, 'docs/frameworks.md'), 'utf8')
  for (const [, name = '', code = ''] of guide.matchAll(
    /^```ts\n\/\/ (next\.config\.ts|media\.ts|app\/\S+)\n([\s\S]*?)^```$/gm,
  )) {
    files.set(name, code)
  }
  const browser = await readFile(join(root, 'docs/browser.md'), 'utf8')
  const gallery = /^```tsx\n([\s\S]*?)^```$/m.exec(browser)?.[1] ?? ''
  files.set(
    'app/gallery.tsx',
    `'use client'\n${gallery.replace(/createClient\(\{.*\}\)/, "createClient({ url: '/api/media' })")}`,
  )
  for (const [name, text] of files) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  const installed = join(folder, 'node_modules/keepsake')
  await cp(join(root, 'dist'), join(installed, 'dist'), { recursive: true })
  await cp(join(root, 'package.json'), join(installed, 'package.json'))
}

function run(args: readonly string[], cwd: string): Promise<void> {
  const child = spawn(process.execPath, args, { cwd, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  const output: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => output.push(`${text}`))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`${args.join(' ')} ended with ${code}:\n${output.join('').slice(-5000)}`))
    })
  })
}
