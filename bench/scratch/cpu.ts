import { z } from 'zod'
import { credentials } from '../bucket.ts'
import { Child } from '../child.ts'
import { usageSchema } from '../usage.ts'
const serverSchema = usageSchema.extend({ url: z.string() })
const loadSchema = z.object({ seconds: z.number() })
const which = (process.argv[2] ?? 'ours,theirs').split(',')
const rounds = Number(process.argv[3] ?? 5)
const taskNames = (process.argv[4] ?? 'put1,put16,get1,get16').split(',')
const files: Record<string, string> = { ours: 's3-process.ts', theirs: 's3rver-process.ts', floor: 'scratch/floor-process.ts', floor2: 'scratch/floor-process.ts', main: '../../../main/bench/s3-process.ts' }
const rv = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }
const load = new Child('embedded-s3-load.ts')
const sides = which.map((name) => ({ name, creds: name === 'theirs' ? rv : credentials, child: new Child(files[name]!, { execArgv: process.env.PROF && name !== 'theirs' ? process.env.PROF.split(' ') : [] }), n: 0 }))
const counts = { put: 600, get: 2000 } as const
for (const s of sides) { const { url } = await s.child.ask(serverSchema, {}); await load.ask(loadSchema, { task: 'put', url, prefix: 'get', count: 2000, clients: 4, size: 20000, credentials: s.creds }) }
const med = (a: number[]) => a.sort((x, y) => x - y)[a.length >> 1]!
for (const t of taskNames) {
  const task = t.startsWith('put') ? 'put' : 'get'; const clients = Number(t.slice(3))
  const out = new Map<string, { cpu: number[]; rps: number[] }>()
  for (let r = 0; r <= rounds; r++) for (const s of r % 2 ? sides : [...sides].reverse()) {
    s.n++
    const b = await s.child.ask(serverSchema, {})
    const { seconds } = await load.ask(loadSchema, { task, url: b.url, prefix: task === 'put' ? `put-${s.n}` : 'get', count: counts[task], clients, size: 20000, credentials: s.creds })
    const a = await s.child.ask(serverSchema, {})
    if (r === 0) continue
    const o = out.get(s.name) ?? { cpu: [], rps: [] }; out.set(s.name, o)
    o.cpu.push((a.cpuMicros - b.cpuMicros) / counts[task]); o.rps.push(counts[task] / seconds)
  }
  for (const [name, o] of out) console.log(t, name, 'cpu', med(o.cpu).toFixed(0), `(min ${Math.min(...o.cpu).toFixed(0)})`, 'rps', med(o.rps).toFixed(0), `(max ${Math.max(...o.rps).toFixed(0)})`)
}
for (const s of sides) await s.child[Symbol.asyncDispose]()
await load[Symbol.asyncDispose]()
