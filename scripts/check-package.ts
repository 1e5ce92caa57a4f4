/**
 * Checks the package as a user gets it: packs it, lints the tarball (publint, attw), installs it into an empty project
 * beside nothing but its own dependencies, compiles every door and every snippet of the README against its types, and
 * loads every door and the command. Needs no network.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { checkClientSize } from './client-size.ts'
import { doorsOf, readManifest, root } from './manifest.ts'

/** The names that the documentation gives to users. A door that is not here has to export something. */
const documented: Readonly<Record<string, readonly string[]>> = {
  '.': ['createKeepsake', 'defineConfig', 'KeepsakeError'],
  './s3': ['createS3Store', 'openS3Store'],
  './embedded-s3': ['startEmbeddedS3'],
  './http': ['createHttpApp', 'serveHttp', 'createHandler', 'openForm', 'readJsonBody'],
  './client': ['createClient', 'KeepsakeClientError'],
  './react': ['KeepsakeProvider', 'useUpload', 'useAssets', 'MediaImage', 'MediaVideo', 'MediaAudio'],
  './recipes': ['recipes', 'profileMedia', 'imageStorage'],
  './testing': ['describeObjectStore'],
}

const manifest = readManifest()
const bin = (name: string) => join(root, 'node_modules/.bin', name)
const temp = mkdtempSync(join(tmpdir(), 'keepsake-package-'))
try {
  step('build', () => run(process.execPath, ['scripts/build.ts'], root))
  const tarball = step('pack', pack)
  await step('the size of the client', checkClientSize)
  step('publint --strict', () => run(bin('publint'), ['run', tarball, '--strict'], root))
  step('attw', () => run(bin('attw'), [tarball, '--profile', 'esm-only', '--no-definitely-typed'], root))
  step('a project that uses it', () => install(tarball))
  step('types', compile)
  step('doors', load)
  step('command', command)
  console.log('The package is as documented.')
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  rmSync(temp, { recursive: true, force: true })
}

function step<T>(name: string, work: () => T): T {
  console.log(`- ${name}`)
  return work()
}

function run(file: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(file, args, { cwd, encoding: 'utf8', timeout: 120_000 })
  if (error) throw error
  if (status !== 0) throw new Error(`${stdout}${stderr}\n${file} ${args.join(' ')} failed (${status}).`)
  return stdout
}

function pack(): string {
  run('npm', ['pack', '--ignore-scripts', '--pack-destination', temp], root)
  const file = readdirSync(temp).find((name) => name.endsWith('.tgz'))
  if (!file) throw new Error('npm pack made no tarball.')
  return join(temp, file)
}

/** As `npm install` would, without asking the registry: the dependencies are those of this repository. */
function install(tarball: string): void {
  const modules = join(temp, 'node_modules')
  mkdirSync(join(modules, manifest.name), { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', join(modules, manifest.name)])
  const needed = [
    ...Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }),
    '@types/node',
    '@types/react',
  ]
  for (const name of needed) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), join(modules, name))
  }
  writeFileSync(join(temp, 'package.json'), JSON.stringify({ type: 'module', private: true }))
}

function specifierOf(door: string): string {
  return manifest.name + door.slice(1)
}

/**
 * With `skipLibCheck` off our own declarations are checked too; what the declarations of others complain about is not
 * for us to mend. An exported value of type `any` is how a declaration that does not resolve shows itself.
 */
function compile(): void {
  const doors = doorsOf(manifest)
  const consumer = [
    'type IsAny<T> = 0 extends 1 & T ? true : false',
    'type Named<N> = [N] extends [never] ? true : N',
    'type Untyped<M> = { [K in keyof M]: IsAny<M[K]> extends true ? K : never }[keyof M]',
    ...doors.map((door, index) => `import * as door${index} from '${specifierOf(door)}'`),
    // Where there are some, the complaint names them: Type 'true' is not assignable to type '"loose"'.
    ...doors.map((_, index) => `export const untyped${index}: Named<Untyped<typeof door${index}>> = true`),
    ...doors.flatMap((door, index) => (documented[door] ?? []).map((name) => `void door${index}.${name}`)),
  ]
  writeFileSync(join(temp, 'consumer.ts'), consumer.join('\n'))
  writeSnippets('README.md', temp)
  writeSnippets('docs/extensions.md', temp)
  writeFileSync(
    join(temp, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        target: 'es2024',
        lib: ['es2024', 'esnext.disposable'],
        module: 'nodenext',
        strict: true,
        noEmit: true,
        types: ['node'],
        skipLibCheck: false,
      },
      include: ['*.ts'],
    }),
  )
  const page = join(temp, 'page')
  mkdirSync(page)
  writeSnippets('docs/browser.md', page)
  writeFileSync(
    join(page, 'tsconfig.json'),
    JSON.stringify({
      extends: '../tsconfig.json',
      compilerOptions: { lib: ['es2024', 'dom'], jsx: 'react-jsx', types: [] },
      include: ['*'],
    }),
  )
  const ours = ['.', 'page'].flatMap(compileProject)
  if (ours.length > 0) throw new Error(`The types do not hold for a user of the package:\n${ours.join('\n')}`)
}

/** Every block of TypeScript in a page of the documentation, each as a module of its own. */
function writeSnippets(document: string, folder: string): void {
  const text = readFileSync(join(root, document), 'utf8')
  const name = document.replace(/^.*\/|\.md$/g, '').toLowerCase()
  for (const [index, [, type, code]] of [...text.matchAll(/^```(tsx?)\n([\s\S]*?)^```$/gm)].entries())
    writeFileSync(join(folder, `snippet-${name}-${index + 1}.${type}`), `${code}\nexport {}\n`)
}

/** The complaints that are about this package or its documentation. */
function compileProject(project: string): string[] {
  const { stdout, error } = spawnSync(bin('tsc'), ['-p', project, '--pretty', 'false'], { cwd: temp, encoding: 'utf8' })
  if (error) throw error
  const ours = new RegExp(`^(?:node_modules/${manifest.name}/|(?:page/)?[\\w-]+\\.tsx?|error)`)
  return stdout.split('\n').filter((line) => ours.test(line))
}

function load(): void {
  for (const door of doorsOf(manifest)) {
    const names = documented[door] ?? []
    // The test door needs vitest around it: that its imports resolve was checked by the build.
    if (door === './testing') continue
    const script =
      `const door = await import(${JSON.stringify(specifierOf(door))});` +
      `const missing = ${JSON.stringify(names)}.filter((name) => !(name in door));` +
      `if (missing.length > 0 || Object.keys(door).length === 0) throw new Error('missing: ' + (missing.join(', ') || 'everything'))`
    run(process.execPath, ['--input-type=module', '--eval', script], temp)
  }
}

function command(): void {
  for (const path of Object.values(manifest.bin)) {
    const file = join(temp, 'node_modules', manifest.name, path)
    const version = run(process.execPath, [file, '--version'], temp)
    if (!version.includes(manifest.version))
      throw new Error(`${path} --version says ${version}, not ${manifest.version}.`)
    if (run(process.execPath, [file, '--help'], temp).length < 100)
      throw new Error(`${path} --help says next to nothing.`)
  }
}
