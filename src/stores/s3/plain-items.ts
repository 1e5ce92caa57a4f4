export const itemFields = ['Key', 'LastModified', 'ETag', 'Size'] as const
export type ItemField = (typeof itemFields)[number]

/**
 * Where the texts of a list's entries begin and end in its bytes, two numbers each and a column for each field; zeros
 * where an entry has none. Numbers and no objects: V8 takes to making small objects in the old generation once it has
 * met many of them alive, and there they stay until a full collection.
 */
export type Spans = { readonly [Field in ItemField]: number[] }

const begin = Buffer.from('<Contents>')
const end = Buffer.from('</Contents>')
const names = itemFields.map((field) => [field, Buffer.from(field)] as const)
const [lessThan, slash, greaterThan] = [0x3c, 0x2f, 0x3e]

/**
 * The entries of a page that is written as every store writes it, taken out by looking for their tags: a fourth of the
 * time of reading them as XML, and a list of a million objects is mostly this. What is left of the page is small and is
 * read as XML. Undefined where anything is unusual (comments, CDATA, attributes or prefixes, entries apart from each
 * other): then all of it is.
 */
export function plainItems(
  xml: Buffer,
): { readonly spans: Spans; readonly count: number; readonly rest: string } | undefined {
  const first = xml.indexOf(begin)
  if (first === -1 || xml.includes('<!')) return undefined
  const spans: Spans = { Key: [], LastModified: [], ETag: [], Size: [] }
  let count = 0
  let at = first
  while (isAt(xml, at, begin)) {
    for (const field of itemFields) spans[field].push(0, 0)
    at += begin.length
    while (!isAt(xml, at, end)) {
      if (xml[at] !== lessThan) return undefined
      const open = endOfName(xml, at + 1)
      const close = open === -1 ? -1 : endOfElement(xml, at + 1, open)
      if (close === -1) return undefined
      const field = fieldAt(xml, at + 1, open)
      if (field !== undefined) {
        // What is of interest has nothing but text in it.
        if (next(xml, lessThan, open) !== close) return undefined
        spans[field][2 * count] = open + 1
        spans[field][2 * count + 1] = close
      }
      // As long as the start tag, and a slash.
      at = close + open - at + 2
    }
    count += 1
    at += end.length
  }
  if (xml.includes('Contents', at)) return undefined
  return { spans, count, rest: xml.toString('utf8', 0, first) + xml.toString('utf8', at) }
}

/** Where the `>` of a start tag is that has nothing but letters in it, or -1. */
function endOfName(xml: Buffer, from: number): number {
  let at = from
  for (; at < xml.length; at += 1) {
    const letter = (xml[at] ?? 0) | 0x20
    if (letter < 0x61 || letter > 0x7a) break
  }
  return at > from && xml[at] === greaterThan ? at : -1
}

/** Where the end tag of the same name begins, or -1 where the entry ends before. */
function endOfElement(xml: Buffer, name: number, nameEnd: number): number {
  for (let at = next(xml, lessThan, nameEnd); at !== -1; at = next(xml, lessThan, at + 1)) {
    if (xml[at + 1] !== slash) continue
    let same = 0
    while (name + same < nameEnd && xml[name + same] === xml[at + 2 + same]) same += 1
    if (name + same === nameEnd && xml[at + 2 + same] === greaterThan) return at
    if (isAt(xml, at, end)) return -1
  }
  return -1
}

/** By hand: a call of `indexOf` costs more than the few bytes that it saves to look at. */
function next(xml: Buffer, byte: number, from: number): number {
  for (let at = from; at < xml.length; at += 1) if (xml[at] === byte) return at
  return -1
}

function fieldAt(xml: Buffer, name: number, nameEnd: number): ItemField | undefined {
  for (const [field, bytes] of names) if (bytes.length === nameEnd - name && isAt(xml, name, bytes)) return field
  return undefined
}

function isAt(xml: Buffer, at: number, bytes: Buffer): boolean {
  for (let index = 0; index < bytes.length; index += 1) if (xml[at + index] !== bytes[index]) return false
  return true
}
