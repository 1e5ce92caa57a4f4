/**
 * The connection test of seed 003, step 7, over the command line: so it works whether or not a server holds the data
 * folder. Takes the options of `keepsake doctor`, such as --url.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { z } from 'zod'
import { KeepsakeError } from '../src/index.ts'
import { testConnection } from '../src/recipes/index.ts'
import { root } from './manifest.ts'

const answer = z.object({
  findings: z.array(
    z.object({ status: z.enum(['pass', 'fail', 'unknown', 'not_offered']), seen: z.string(), fix: z.string() }),
  ),
})

const { ok, message } = await testConnection({
  async doctor({ only }) {
    const command = [
      join(root, 'src/cli/main.ts'),
      'doctor',
      '--json',
      '--only',
      only.join(','),
      ...process.argv.slice(2),
    ]
    const { stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8', timeout: 90_000 })
    if (stdout === '') throw new KeepsakeError('store_unavailable', stderr.trim())
    return answer.parse(JSON.parse(stdout))
  },
})
if (ok) console.log(message)
else console.error(message)
process.exitCode = ok ? 0 : 1
