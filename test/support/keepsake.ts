import { createHash } from 'node:crypto'
import type { Actor, AuditEntry } from '../../src/catalogue/index.ts'
import {
  type Asset,
  type AssetState,
  acceptsContentType,
  defaultCollections,
  isAssetId,
  KeepsakeError,
  kindOf,
  newAssetId,
  parseAttributes,
  parseCollection,
} from '../../src/media/index.ts'
import type { ImportRequest, Keepsake, Verbs } from '../../src/verbs.ts'

export type TestKeepsakeOptions = {
  /** Hosts (host:port) that imports may fetch although they are private. */
  readonly allowHosts?: readonly string[]
}

/** A keepsake for tests of the faces. Temporary: to be replaced by the real one over PGlite and a memory store. */
export async function openTestKeepsake(options: TestKeepsakeOptions = {}): Promise<Keepsake> {
  const collections = new Map(
    Object.entries(defaultCollections).map(([name, definition]) => [name, parseCollection(name, definition)]),
  )
  const assets = new Map<string, { asset: Asset; bytes: Buffer }>()
  const replays = new Map<string, { id: string; fingerprint: string }>()
  const trail: AuditEntry[] = []
  let closed = false

  const as = (actor: Actor): Verbs => {
    const mine = (asset: Asset) => actor.role !== 'user' || asset.owner === actor.owner
    const find = (id: string) => {
      if (closed) throw new KeepsakeError('stopping', 'stopping')
      const found = isAssetId(id) ? assets.get(id) : undefined
      if (!found || !mine(found.asset)) throw new KeepsakeError('asset_not_found', `There is no such asset.`)
      return found
    }
    const note = (action: AuditEntry['action'], asset: Asset) => {
      trail.unshift({
        id: String(trail.length),
        at: new Date(),
        action,
        asset: asset.id,
        owner: asset.owner,
        collection: asset.collection,
        actor: actor.role === 'user' ? `user:${actor.owner}` : actor.role,
        requestId: actor.requestId ?? null,
        detail: {},
      })
    }
    const link = (asset: Asset, expiresIn = 3600, download = false) => {
      if (asset.state !== 'stored') throw new KeepsakeError('asset_not_stored', 'The asset is not stored.')
      const url = `http://127.0.0.1:9/b/${asset.key}?X-Amz-Expires=${expiresIn}&X-Amz-Signature=5ec2e7${download ? '&response-content-disposition=attachment' : ''}`
      note('url.issued', asset)
      return { id: asset.id, url, expiresAt: new Date(Date.now() + expiresIn * 1000) }
    }
    return {
      async import(name: string, request: ImportRequest) {
        const collection = collections.get(name)
        if (!collection) throw new KeepsakeError('collection_not_found', `There is no collection '${name}'.`)
        const owner = actor.role === 'user' ? actor.owner : (request.owner ?? 'default')
        const attributes = parseAttributes(collection, request.attributes ?? {})
        const fingerprint = JSON.stringify([name, request.source, attributes])
        const slot = `${owner}\n${request.idempotencyKey}`
        const replay = request.idempotencyKey === undefined ? undefined : replays.get(slot)
        if (replay && replay.fingerprint !== fingerprint) {
          throw new KeepsakeError('idempotency_conflict', 'The key was used for another request.')
        }
        if (replay) return find(replay.id).asset
        const bytes = await sourceBytes(request, options)
        const id = newAssetId()
        if (request.idempotencyKey !== undefined) replays.set(slot, { id, fingerprint })
        const contentType =
          bytes === null ? null : bytes.subarray(0, 3).toString() === 'GIF' ? 'image/gif' : 'application/octet-stream'
        if (contentType !== null && !acceptsContentType(collection.accept, contentType)) {
          throw new KeepsakeError('content_type_refused', `The content is ${contentType}.`)
        }
        const origin = 'url' in request.source ? request.source.url : null
        const asset: Asset = {
          id,
          collection: name,
          owner,
          state: bytes === null ? 'pending' : 'stored',
          health: 'ok',
          kind: contentType === null ? null : kindOf(contentType),
          key: bytes === null ? null : `k/${id}.gif`,
          store: 'primary',
          contentType,
          size: bytes?.length ?? null,
          sha256: bytes === null ? null : createHash('sha256').update(bytes).digest('hex'),
          width: bytes === null ? null : 1,
          height: bytes === null ? null : 1,
          duration: null,
          attributes,
          provenance: request.provenance ?? {},
          filename: request.filename ?? null,
          problem: bytes === null ? { code: 'source_unavailable', message: 'The source answered 503.' } : null,
          createdAt: new Date(),
          storedAt: bytes === null ? null : new Date(),
          expiresAt: null,
          url: bytes === null ? origin : `http://127.0.0.1:9/b/k/${id}.gif?X-Amz-Signature=5ec2e7`,
          urlSource: bytes === null ? 'origin' : 'store',
          urlExpiresAt: bytes === null ? null : new Date(Date.now() + 3_600_000),
        }
        assets.set(id, { asset, bytes: bytes ?? Buffer.alloc(0) })
        note('asset.stored', asset)
        return asset
      },
      get: async (id) => find(id).asset,
      async list(name, request = {}) {
        const collection = collections.get(name)
        if (!collection) throw new KeepsakeError('collection_not_found', `There is no collection '${name}'.`)
        for (const name of Object.keys(request.attributes ?? {})) {
          if (!Object.hasOwn(collection.attributes, name))
            throw new KeepsakeError('invalid_request', `The attribute '${name}' is not declared.`)
        }
        const { owner, kind, state, from, to, limit = 50, cursor } = request
        const all = [...assets.values()]
          .map(({ asset }) => asset)
          .reverse()
          .filter((asset) => asset.collection === name && mine(asset))
          .filter((asset) => owner === undefined || asset.owner === owner)
          .filter((asset) => kind === undefined || asset.kind === kind)
          .filter((asset) => state === undefined || asset.state === state)
          .filter((asset) => (from ?? asset.createdAt) <= asset.createdAt && (!to || asset.createdAt < to))
          .filter((asset) => Object.entries(request.attributes ?? {}).every(([k, v]) => asset.attributes[k] === v))
          .filter((asset) => cursor === undefined || asset.id < cursor)
        const page = all.slice(0, limit)
        return { assets: page, nextCursor: all.length > limit ? (page.at(-1)?.id ?? null) : null }
      },
      async delete(id) {
        const { asset } = find(id)
        assets.delete(id)
        note('asset.purged', asset)
        return { done: true }
      },
      url: async (id, urlOptions = {}) => {
        if (urlOptions.variant !== undefined) throw new KeepsakeError('invalid_request', 'There are no variants.')
        return link(find(id).asset, urlOptions.expiresIn, urlOptions.download)
      },
      urls: async (list, urlOptions = {}) =>
        list.map(({ id }) => {
          try {
            return link(find(id).asset, urlOptions.expiresIn)
          } catch (error) {
            return { id, code: KeepsakeError.from(error).code }
          }
        }),
      async read(id) {
        const { asset, bytes } = find(id)
        return {
          asset,
          body: (async function* () {
            yield bytes
          })(),
        }
      },
      async audit(filter = {}) {
        const entries = trail
          .filter((entry) => actor.role !== 'user' || entry.owner === actor.owner)
          .filter((entry) => filter.asset === undefined || entry.asset === filter.asset)
          .filter((entry) => filter.owner === undefined || entry.owner === filter.owner)
          .slice(0, filter.limit ?? 50)
        return { entries, nextCursor: null }
      },
    }
  }
  return {
    ...as({ role: 'service' }),
    collections,
    as,
    check: async () => ['catalogue', 'primary'].map((name) => ({ name, ok: !closed })),
    async countByState() {
      const counts: Record<AssetState, number> = { pending: 0, stored: 0, failed: 0, deleting: 0 }
      for (const { asset } of assets.values()) counts[asset.state] += 1
      return counts
    },
    async close() {
      closed = true
    },
  }
}

async function sourceBytes({ source }: ImportRequest, options: TestKeepsakeOptions): Promise<Buffer | null> {
  if ('base64' in source) {
    if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(source.base64)) throw new KeepsakeError('invalid_source', 'Malformed base64.')
    return Buffer.from(source.base64, 'base64')
  }
  if ('dataUri' in source) return sourceBytes({ source: { base64: source.dataUri.split(',')[1] ?? '' } }, options)
  if ('bytes' in source) return Buffer.alloc(0)
  if (!URL.canParse(source.url)) throw new KeepsakeError('invalid_source', 'The URL is malformed.')
  const url = new URL(source.url)
  if (!(options.allowHosts ?? []).includes(url.host)) {
    throw new KeepsakeError('source_forbidden', `The address of ${url.host} may not be fetched.`)
  }
  const response = await fetch(url)
  if (response.status >= 500) return null
  if (!response.ok) throw new KeepsakeError('source_gone', `The source answered ${response.status}.`)
  return Buffer.from(await response.arrayBuffer())
}
