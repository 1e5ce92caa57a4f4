import { formatSize } from '../../media/index.ts'
import { type AssetAnswer, assetPageSchema, withClient } from '../client.ts'
import { type ExitCode, exitCodes } from '../failure.ts'
import type { Io } from '../io.ts'
import { localTime, parsePairs, parseTime, table } from '../text.ts'
import { type CommonOptions, jsonDocument, queryOf } from './options.ts'

export type ListOptions = CommonOptions & {
  readonly owner?: string
  readonly kind?: string
  readonly state?: string
  readonly parent?: string
  readonly attr: readonly string[]
  readonly from?: string
  readonly to?: string
  readonly limit?: string
  readonly cursor?: string
  readonly all?: boolean
}

const largestPage = '1000'

export async function listVerb(collection: string, options: ListOptions, io: Io): Promise<ExitCode> {
  const filters = {
    owner: options.owner,
    kind: options.kind,
    state: options.state,
    parent: options.parent,
    from: options.from === undefined ? undefined : parseTime(options.from),
    to: options.to === undefined ? undefined : parseTime(options.to),
    limit: options.limit ?? (options.all ? largestPage : undefined),
    ...Object.fromEntries(
      Object.entries(parsePairs(options.attr)).map(([name, value]) => [`attributes.${name}`, value]),
    ),
  }
  const assets: AssetAnswer[] = []
  const nextCursor = await withClient(options, io, async (client) => {
    let cursor = options.cursor
    for (;;) {
      const path = `/v1/collections/${encodeURIComponent(collection)}/assets${queryOf({ ...filters, cursor })}`
      const page = await client.json(assetPageSchema, path)
      assets.push(...page.assets)
      if (!options.all || page.nextCursor === null) return page.nextCursor
      cursor = page.nextCursor
    }
  })
  if (options.json) {
    io.stdout.write(jsonDocument({ assets, nextCursor }))
    return exitCodes.ok
  }
  io.stdout.write(assets.length === 0 ? '' : table(head, assets.map(rowOf)))
  if (assets.length === 0 && io.stderr.isTTY) io.stderr.write('No assets.\n')
  if (nextCursor !== null) io.stderr.write(`There are more: --all, or --cursor ${nextCursor}\n`)
  return exitCodes.ok
}

const head = ['ID', 'STATE', 'TYPE', 'SIZE', 'OWNER', 'CREATED', 'ATTRIBUTES']

function rowOf(asset: AssetAnswer): string[] {
  return [
    asset.id,
    asset.store === 'local' ? `${asset.state} (local)` : asset.state,
    asset.contentType ?? '-',
    asset.size === null ? '-' : formatSize(asset.size),
    asset.owner,
    localTime(asset.createdAt),
    Object.entries(asset.attributes)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
  ]
}
