import { benchImport } from './import.ts'
import { benchMemory } from './memory.ts'
import { benchPresign } from './presign.ts'
import { type Part, report } from './report.ts'
import { benchS3Client } from './s3-client.ts'
import { benchUploads } from './uploads.ts'

/** The benchmarks as a command: `npm run bench`, or `npm run bench -- presign memory` for some of them. */
const parts: Readonly<Record<string, () => Promise<Part>>> = {
  presign: benchPresign,
  's3-client': benchS3Client,
  import: benchImport,
  uploads: benchUploads,
  memory: benchMemory,
}

const names = process.argv.slice(2)
const unknown = names.filter((name) => !Object.hasOwn(parts, name))
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(', ')}. There are: ${Object.keys(parts).join(', ')}.`)
  process.exit(2)
}
for (const [name, run] of Object.entries(parts)) {
  if (names.length === 0 || names.includes(name)) await report(await run())
}
