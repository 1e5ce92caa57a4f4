import { expect, it } from 'vitest'
import { runCli } from '../../test/support/cli.ts'
import { checks } from './checks.ts'
import { doctorMarkdown } from './doctor-markdown.ts'
import { groupOf } from './index.ts'

it('docs/doctor.md has a section for every check, as the table has it', async () => {
  const markdown = doctorMarkdown()
  for (const id of Object.keys(checks)) expect(markdown).toContain(`\n### ${id}\n`)
  await expect(markdown).toMatchFileSnapshot('../../docs/doctor.md')
})

it('what a check says is short, and ends as a sentence does where it is one', () => {
  for (const [id, { title, why, fix }] of Object.entries(checks)) {
    expect(title.length, id).toBeLessThan(80)
    expect([id, why]).toEqual([id, expect.stringMatching(/[.]$/)])
    expect([id, fix]).toEqual([id, expect.stringMatching(/\S/)])
    expect(['S3', 'bucket', 'probe', 'catalogue', 'folder', 'settings']).toContain(groupOf(id))
  }
})

it('a fix by keepsake is a command that there is, with options that it takes', async () => {
  const commands = Object.entries(checks).flatMap(([id, { fix }]) => {
    const command = /keepsake ((?:[a-z]+ ?)+)((?:--[a-z-]+(?: [^ ,;]+)? ?)*)/.exec(fix)
    const [, verb = '', options = ''] = command ?? []
    return command ? [{ id, verb: verb.trim(), options: options.match(/--[a-z-]+/g) ?? [] }] : []
  })
  expect(commands.length).toBeGreaterThan(15)
  const helps = new Map<string, string>()
  for (const { id, verb, options } of commands) {
    const [group = '', name = ''] = verb.split(' ')
    const help = helps.get(name) ?? (await runCli([group, name, '--help'])).stdout
    helps.set(name, help)
    for (const option of options) expect([id, help]).toEqual([id, expect.stringContaining(`  ${option} `)])
  }
  expect(commands.find(({ id }) => id === 'S3.9')?.options).toEqual(['--logging'])
})
