import { expect, it } from 'vitest'
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
