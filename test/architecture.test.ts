/**
 * The rules of the house (docs/architecture.md), kept by a machine: which folder may know which, that a folder is
 * entered by its door, and what no source file may hold.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const source = join(import.meta.dirname, '../src')

/** From low to high. Who stands higher may know who stands lower; those side by side may not know each other mutually. */
const floors: readonly (readonly string[])[] = [
  ['media', 'clock.ts', 'logger.ts', 'version.ts'],
  ['embedded-s3', 'logging', 'stores', 'catalogue', 'jobs', 'data-folder', 'config'],
  ['intake', 'delivery', 'upkeep', 'bucket', 'doctor', 'moving'],
  [
    'verbs.ts',
    'bound-verbs.ts',
    'compose.ts',
    'open-cdn.ts',
    'open-fallback.ts',
    'open-parts.ts',
    'open-bucket.ts',
    'testing.ts',
  ],
  ['http', 'console', 'demo'],
  ['extension.ts', 'keepsake.ts', 'index.ts'],
  ['recipes'],
  ['cli'],
]
/** Who knows nothing of the rest, and could be a package of its own. */
const isolated: readonly string[] = ['embedded-s3', 'client', 'react']
/** The browser's side is two doors of one house: a hook speaks of the client, and of nothing behind it. */
const befriended: Readonly<Record<string, readonly string[]>> = { react: ['client'] }

/** Words that mean that a check was given up on, or that something is not done. The type any is Biome's to find. */
const forbidden: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['a switched-off type check', /@ts-(?:ignore|expect-error|nocheck)/],
  ['an exception to a rule that has none', /biome-ignore.*(?:noExplicitAny|noNonNullAssertion)/],
  ['a TODO', /\b(?:TODO|FIXME)\b/],
  ["a method that throws 'not implemented'", /throw new (?:Keepsake)?Error\([^)]*not (?:yet )?implemented/i],
]

type SourceFile = { readonly path: string; readonly text: string; readonly isTest: boolean }
type Import = { readonly from: SourceFile; readonly to: string }

/** Every TypeScript file in a folder of the repository; paths are relative to `src`. */
function filesIn(folder: string): SourceFile[] {
  const top = join(source, '..', folder)
  if (!existsSync(top)) return []
  return readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => {
      const file = join(entry.parentPath, entry.name)
      const path = relative(source, file)
      const isTest = folder !== 'src' || /\.test\.tsx?$|(?:^|\/)(?:fixtures|testing)\//.test(path)
      return { path, text: readFileSync(file, 'utf8'), isTest }
    })
}

const files: readonly SourceFile[] = filesIn('src')
const outside: readonly SourceFile[] = ['test', 'bench'].flatMap(filesIn)

/** The relative imports of a file, types and dynamic ones included, as paths in `src`. */
function importsOf(from: SourceFile): Import[] {
  const text = from.text.replace(/\/\*[\s\S]*?\*\//g, '')
  const specifiers = [
    ...text.matchAll(/^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"](\.[^'"]+)['"]/gm),
    ...text.matchAll(/^\s*import\s*['"](\.[^'"]+)['"]/gm),
    ...text.matchAll(/\bimport\(\s*['"](\.[^'"]+)['"]\s*\)/g),
  ].flatMap((match) => match[1] ?? [])
  return specifiers.map((specifier) => ({ from, to: relative(source, resolve(source, dirname(from.path), specifier)) }))
}

/** The folder of `src` that a file belongs to, or the file itself where it lies at the top. */
function partOf(path: string): string {
  return path.split('/')[0] ?? path
}

function floorOf(part: string): number {
  return floors.findIndex((floor) => floor.includes(part))
}

function crosses({ from, to }: Import): boolean {
  return partOf(from.path) !== partOf(to)
}

const crossing = files.flatMap(importsOf).filter(crosses)
const entering = outside.flatMap(importsOf).filter(crosses)

/** What a broken rule looks like in the report: one line each. */
function report(found: readonly string[]): string {
  return `\n${found.map((line) => `  ${line}`).join('\n')}\n`
}

function expectNone(found: readonly string[], rule: string): void {
  expect(found, `${rule}${report(found)}`).toEqual([])
}

describe('the house', () => {
  test('is read whole: the imports between folders are found', () => {
    expect(files.length).toBeGreaterThan(10)
    expect(crossing.some(({ from, to }) => from.path === 'verbs.ts' && to === 'media/index.ts')).toBe(true)
  })

  test('every folder has its place', () => {
    const parts = [...new Set(files.map(({ path }) => partOf(path)))]
    const homeless = parts.filter((part) => floorOf(part) === -1 && !isolated.includes(part))
    expectNone(homeless, 'A new folder needs a floor in test/architecture.test.ts and in docs/architecture.md:')
  })

  test('who stands low does not know who stands high', () => {
    const wrong = crossing
      .filter(({ from }) => !from.isTest && !isolated.includes(partOf(from.path)))
      .filter(({ from, to }) => floorOf(partOf(to)) > floorOf(partOf(from.path)))
      .map(({ from, to }) => `src/${from.path} imports src/${to}: ${partOf(from.path)} stands below ${partOf(to)}.`)
    expectNone(wrong, 'Dependencies point downwards only. Move the code, or let the upper part pass in what is needed:')
  })

  test('who stands side by side does not know each other mutually', () => {
    const knows = new Map<string, Set<string>>()
    for (const { from, to } of crossing) {
      if (from.isTest) continue
      const part = partOf(from.path)
      knows.set(part, (knows.get(part) ?? new Set()).add(partOf(to)))
    }
    const reaches = (part: string, seen = new Set<string>()): Set<string> => {
      for (const next of knows.get(part) ?? []) {
        if (seen.has(next)) continue
        seen.add(next)
        reaches(next, seen)
      }
      return seen
    }
    const circles = [...knows.keys()]
      .filter((part) => reaches(part).has(part))
      .map((part) => `${part} comes back to itself.`)
    expectNone(circles, 'Folders must not import each other in a circle:')
  })

  test('a folder is entered by its door', () => {
    const wrong = [...crossing, ...entering]
      .filter(({ to }) => to.includes('/') && !to.startsWith('..'))
      .filter(({ from, to }) => !doorsOpenTo(from).some((door) => to === `${partOf(to)}/${door}`))
      .map(({ from, to }) => `${join('src', from.path)} imports src/${to}: import src/${partOf(to)}/index.ts.`)
    expectNone(wrong, 'What is not exported by a folder’s index.ts is nobody else’s business:')
  })

  test('the recipes stand on the doors of the package alone', () => {
    const doors = ['index.ts', 'http/index.ts', 'stores/index.ts', 'embedded-s3/index.ts', 'client/index.ts']
    const wrong = crossing
      .filter(({ from, to }) => partOf(from.path) === 'recipes' && !from.isTest && !doors.includes(to))
      .map(({ from, to }) => `src/${from.path} imports src/${to}.`)
    expectNone(wrong, 'A recipe shows what any app can do. Where that takes a private door, mend the public one:')
  })

  test.each(isolated)('%s imports nothing of Keepsake’s', (part) => {
    const wrong = crossing
      .filter(({ from, to }) => partOf(from.path) === part && !from.isTest && !befriended[part]?.includes(partOf(to)))
      .map(({ from, to }) => `src/${from.path} imports src/${to}.`)
    expectNone(wrong, `${part}/ could be a package of its own, and has to stay so:`)
  })
})

/** Tests, benchmarks and the door that ships the conformance suite, may also use what a folder offers to tests. */
function doorsOpenTo(from: SourceFile): readonly string[] {
  const forTests = ['testing.ts', 'testing/index.ts', 'conformance.ts']
  return from.isTest || from.path === 'testing.ts' ? ['index.ts', ...forTests] : ['index.ts']
}

describe('no source file holds', () => {
  test.each(forbidden)('%s', (what, pattern) => {
    const found = files.flatMap(({ path, text }) =>
      text
        .split('\n')
        .map((line, index) => ({ line, at: `src/${path}:${index + 1}` }))
        .filter(({ line }) => pattern.test(line))
        .map(({ line, at }) => `${at}  ${line.trim()}`),
    )
    expectNone(found, `Found ${what}:`)
  })
})
