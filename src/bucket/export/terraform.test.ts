import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { desire, desireEverything, replica } from '../testing/desired.ts'
import { hcl } from './hcl.ts'
import { terraform } from './terraform.ts'

type Parse = (file: string, text: string) => Promise<unknown>
/** HashiCorp's own parser, compiled to WebAssembly. Its types would bring the browser's with them. */
const { parse } = z
  .object({ parse: z.custom<Parse>((given) => typeof given === 'function') })
  .parse(createRequire(import.meta.url)('@cdktf/hcl2json'))

type Attribute = { required?: boolean | undefined; type?: string | undefined; block?: Attributes | undefined }
type Attributes = { [name: string]: Attribute }
const attributes: z.ZodType<Attributes> = z.record(
  z.string(),
  z.lazy(() =>
    z.object({ required: z.boolean().optional(), type: z.string().optional(), block: attributes.optional() }),
  ),
)
/** The AWS provider's schema. */
const schema = z
  .object({ resources: z.record(z.string(), attributes) })
  .parse(JSON.parse(readFileSync(new URL('../testing/terraform-aws-schema.json', import.meta.url), 'utf8'))).resources

const document = z.object({
  resource: z.record(z.string(), z.record(z.string(), z.array(z.record(z.string(), z.unknown())))),
})

/** A syntax error throws. */
async function resources(text: string) {
  return document.parse(await parse('bucket.tf', text)).resource
}

const meta = ['provider', 'depends_on', 'lifecycle']

function problems(given: Readonly<Record<string, unknown>>, known: Attributes, path: string): string[] {
  return [
    ...Object.entries(known).flatMap(([name, { required }]) =>
      required && given[name] === undefined ? [`${path}.${name} is missing`] : [],
    ),
    ...Object.entries(given).flatMap(([name, value]) => {
      const attribute = known[name]
      if (meta.includes(name)) return []
      if (attribute === undefined) return [`${path}.${name} is not known`]
      const { block, type } = attribute
      if (block) {
        return z
          .array(z.record(z.string(), z.unknown()))
          .parse(value)
          .flatMap((one) => problems(one, block, `${path}.${name}`))
      }
      const kind = Array.isArray(value) ? 'list' : typeof value
      // A reference is a text to the parser, whatever comes of it.
      const reference = typeof value === 'string' && value.startsWith('${')
      return kind === type || reference ? [] : [`${path}.${name} is a ${kind}, not a ${type}`]
    }),
  ]
}

async function allProblems(text: string): Promise<string[]> {
  return Object.entries(await resources(text)).flatMap(([type, named]) =>
    Object.entries(named).flatMap(([name, bodies]) =>
      bodies.flatMap((body) => {
        const known = schema[type]
        return known ? problems(body, known, `${type}.${name}`) : [`${type} is not known`]
      }),
    ),
  )
}

describe('Terraform', () => {
  it.each([
    ['everything', desireEverything()],
    [
      'with a role of its own',
      desireEverything({ replication: { ...replica, role: 'arn:aws:iam::123456789012:role/copies' } }),
    ],
    ['next to nothing', desire({ env: 'dev' }, { bucket: 'media' })],
    ['logs elsewhere', desire({ logging: { bucket: 'company-logs' }, inventory: 'Weekly' }, { bucket: 'media' })],
  ])('%s parses, and has the attributes of the AWS provider', async (_, desired) => {
    expect(await allProblems(terraform(desired))).toEqual([])
  })

  it('the schema would notice a wrong attribute', async () => {
    const text = terraform(desireEverything())
    expect(await allProblems(text.replace('days_after_initiation', 'days_after_start'))).toHaveLength(1)
    expect(await allProblems(text.replace('noncurrent_days = 30', 'newer_noncurrent_versions = 1'))).toHaveLength(1)
    await expect(resources(`${text}}`)).rejects.toThrow()
  })

  it('refers only to what it declares', async () => {
    const text = terraform(desireEverything())
    const declared = Object.entries(await resources(text)).flatMap(([type, named]) =>
      Object.keys(named).map((name) => `${type}.${name}`),
    )
    const referred = [...text.matchAll(/(?:= |\[|, )(aws_\w+\.\w+)/g)].map((match) => match[1])
    expect(referred.length).toBeGreaterThan(20)
    expect(referred.filter((name) => !declared.includes(name ?? ''))).toEqual([])
  })

  it('carries any text through its quotes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: fc.constantFrom('$', '%', '{', '}', '"', '\\', '\n', 'a', 'ä', "'") }),
        async (text) => {
          const written = hcl([{ type: 'resource', labels: ['aws_iam_policy', 'one'], attributes: { policy: text } }])
          // The parser gives templates back as they are written.
          const back = (await resources(written)).aws_iam_policy?.one?.[0]?.policy
          expect(String(back).replace(/([$%])\1(?=\{)/g, '$1')).toBe(text)
        },
      ),
      { numRuns: 50 },
    )
  })
})
