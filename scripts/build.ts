/**
 * Builds `dist/`: JavaScript and declarations by TypeScript, then everything else in `src/` as it is. It fails where a
 * file in `dist/` imports what a user of the package would not have, or where package.json names a file that is not
 * there.
 */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, relative, resolve } from 'node:path'
import { readManifest, root, targetsOf } from './manifest.ts'

const source = join(root, 'src')
const dist = join(root, 'dist')

rmSync(dist, { recursive: true, force: true })
// What runs in browsers alone is compiled against their types, the rest against Node's.
for (const project of ['tsconfig.build.json', 'tsconfig.build.react.json']) {
  const tsc = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', project], { cwd: root, stdio: 'inherit' })
  if (tsc.error) throw tsc.error
  if (tsc.status !== 0) process.exit(1)
}
copyAssets()
rewriteDeclarations()

const manifest = readManifest()
const problems = [...brokenImports(), ...missingTargets()]
if (problems.length > 0) {
  console.error(`dist/ is not fit to publish:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
  process.exit(1)
}
console.log(`dist/ has ${filesIn(dist).length} files.`)

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

/** What is not TypeScript (pages, SQL) goes along; what only tests read stays. */
function copyAssets(): void {
  for (const file of filesIn(source)) {
    const path = relative(source, file)
    if (path.endsWith('.ts') || path.split('/').includes('fixtures')) continue
    mkdirSync(dirname(join(dist, path)), { recursive: true })
    copyFileSync(file, join(dist, path))
  }
}

/** TypeScript's rewriteRelativeImportExtensions leaves declarations alone; an importer should find `.js` there too. */
function rewriteDeclarations(): void {
  for (const file of filesIn(dist).filter((path) => path.endsWith('.d.ts'))) {
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, text.replace(/((?:\bfrom |\bimport |\bimport\()['"]\.{1,2}\/[^'"]*)\.ts(?=['"])/g, '$1.js'))
  }
}

function* brokenImports(): Generator<string> {
  const allowed = [manifest.name, ...Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })]
  for (const file of filesIn(dist).filter((path) => /\.(js|d\.ts)$/.test(path))) {
    for (const specifier of specifiersIn(readFileSync(file, 'utf8'))) {
      const from = relative(root, file)
      if (specifier.startsWith('.')) {
        const target = resolve(dirname(file), specifier)
        const wanted = file.endsWith('.d.ts') ? target.replace(/\.js$/, '.d.ts') : target
        if (!existsSync(wanted)) yield `${from} imports '${specifier}', which is not there.`
      } else if (!isBuiltin(specifier)) {
        const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
        if (!allowed.includes(name)) yield `${from} imports '${specifier}', which is not a dependency of the package.`
      }
    }
  }
}

/** Every module that a file names: in static imports and exports, and in `import()` as a call or a type. */
function specifiersIn(text: string): string[] {
  const found = [
    ...text.matchAll(/^(?:import|export)\b[^'"`;]*\bfrom\s*['"]([^'"]+)['"]/gm),
    ...text.matchAll(/^import\s*['"]([^'"]+)['"]/gm),
    ...text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g),
  ]
  return found.flatMap((match) => match[1] ?? [])
}

function* missingTargets(): Generator<string> {
  for (const { label, path } of targetsOf(manifest)) {
    if (!existsSync(join(root, path))) yield `package.json names ${path} for ${label}, which is not there.`
  }
  for (const [name, path] of Object.entries(manifest.bin)) {
    const file = join(root, path)
    if (!existsSync(file)) continue
    chmodSync(file, 0o755)
    if (!readFileSync(file, 'utf8').startsWith('#!/usr/bin/env node\n')) {
      yield `${path}, the command ${name}, does not start with #!/usr/bin/env node.`
    }
  }
}
