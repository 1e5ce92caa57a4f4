import { z } from 'zod'
import { spawn } from 'node:child_process'
import { credentials } from '../bucket.ts'
import { Child } from '../child.ts'
import { usageSchema } from '../usage.ts'
const serverSchema = usageSchema.extend({ url: z.string() }); const loadSchema = z.object({ seconds: z.number() })
const load = new Child('embedded-s3-load.ts'); const s = new Child('s3-process.ts')
const { url } = await s.ask(serverSchema, {})
const run = (task: string, prefix: string, clients: number, count: number) => load.ask(loadSchema, { task, url, prefix, count, clients, size: 20000, credentials })
await run('put', 'get', 4, 2000)
for (const [task, clients] of [['put', 16], ['put', 1], ['get', 16]] as const) {
  const st = spawn('strace', ['-c', '-f', '-p', String(s.pid)], { stdio: ['ignore', 'ignore', 'pipe'] }); let out = ''; st.stderr.on('data', (d) => (out += d))
  await new Promise((r) => setTimeout(r, 700))
  await run(task, task === 'get' ? 'get' : 'p' + clients, clients, 1000)
  st.kill('SIGINT'); await new Promise((r) => st.once('exit', r))
  console.log(task, clients); console.log(out.split('\n').filter((l) => /^\s+\d/.test(l)).slice(0, 14).map((l) => l.trim().split(/\s+/)).map((f) => `${f.at(-1)} ${f[3]}`).join('; '))
}
await s[Symbol.asyncDispose](); await load[Symbol.asyncDispose]()
