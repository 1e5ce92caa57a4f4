/** An expression that stands as it is: a reference, a call. */
export type Expression = { readonly expression: string }
export type HclValue = string | number | boolean | Expression | readonly HclValue[]

export type Block = {
  readonly type: string
  readonly labels?: readonly string[]
  /** Attributes; what is undefined is left out. */
  readonly attributes?: Readonly<Record<string, HclValue | undefined>>
  readonly blocks?: readonly Block[]
}

export function expression(text: string): Expression {
  return { expression: text }
}

/** https://developer.hashicorp.com/terraform/language/syntax/configuration, in the layout of `terraform fmt`. */
export function hcl(blocks: readonly Block[]): string {
  return `${blocks.map((block) => blockText(block, '')).join('\n\n')}\n`
}

function blockText({ type, labels = [], attributes = {}, blocks = [] }: Block, indent: string): string {
  const inner = `${indent}  `
  const set = Object.entries(attributes).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  )
  const lines = attributeLines(set, inner)
  const nested = blocks.map((block) => blockText(block, inner))
  const body = [...(lines.length > 0 ? [lines.join('\n')] : []), ...nested].join('\n\n')
  const head = [type, ...labels.map((label) => quoted(label))].join(' ')
  return body === '' ? `${indent}${head} {}` : `${indent}${head} {\n${body}\n${indent}}`
}

/** `terraform fmt` aligns the equals signs of attributes that follow each other, and begins anew after one of many lines. */
function attributeLines(set: readonly (readonly [string, HclValue])[], indent: string): string[] {
  const texts = set.map(([name, value]) => ({ name, text: valueText(value, indent) }))
  const lines: string[] = []
  let group: typeof texts = []
  const flush = () => {
    const width = Math.max(0, ...group.map(({ name }) => name.length))
    lines.push(...group.map(({ name, text }) => `${indent}${name.padEnd(width)} = ${text}`))
    group = []
  }
  for (const one of texts) {
    group.push(one)
    if (one.text.includes('\n')) flush()
  }
  flush()
  return lines
}

function valueText(value: HclValue, indent: string): string {
  if (typeof value === 'string') return quoted(value)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if ('expression' in value) return value.expression
  const entries = value.map((entry) => valueText(entry, `${indent}  `))
  const line = `[${entries.join(', ')}]`
  if (line.length < 100) return line
  return `[\n${entries.map((entry) => `${indent}  ${entry},\n`).join('')}${indent}]`
}

/** A template in quotes: `${` and `%{` would begin an interpolation or a directive. */
function quoted(text: string): string {
  const escaped = text
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r')
    .replaceAll('\t', '\\t')
    .replace(/[$%](?=\{)/g, (sign) => sign + sign)
  return `"${escaped}"`
}
