import type { z } from '@hono/zod-openapi'
import type { AuditEntry } from '../catalogue/index.ts'
import type { Asset, Collection } from '../media/index.ts'
import type { assetOutput, auditPageOutput, collectionsOutput } from './schema.ts'

type AssetJson = z.infer<typeof assetOutput>
type AuditEntryJson = z.infer<typeof auditPageOutput>['entries'][number]
type CollectionJson = z.infer<typeof collectionsOutput>['collections'][number]

/** An asset as it goes over the wire: dates as RFC 3339, facts that do not apply left out. */
export function assetJson(asset: Asset): AssetJson {
  return {
    id: asset.id,
    collection: asset.collection,
    owner: asset.owner,
    state: asset.state,
    health: asset.health,
    kind: asset.kind,
    key: asset.key,
    store: asset.store,
    contentType: asset.contentType,
    size: asset.size,
    sha256: asset.sha256,
    ...present('width', asset.width),
    ...present('height', asset.height),
    ...present('duration', asset.duration),
    attributes: { ...asset.attributes },
    provenance: { ...asset.provenance },
    ...present('filename', asset.filename),
    url: asset.url,
    urlSource: asset.urlSource,
    urlExpiresAt: asset.urlExpiresAt?.toISOString() ?? null,
    createdAt: asset.createdAt.toISOString(),
    storedAt: asset.storedAt?.toISOString() ?? null,
    ...present('expiresAt', asset.expiresAt?.toISOString() ?? null),
    ...present('pinned', asset.pinned || null),
    ...present('checkedAt', asset.checkedAt?.toISOString() ?? null),
    ...present('problem', asset.problem && { code: asset.problem.code, message: asset.problem.message }),
  }
}

export function auditEntryJson(entry: AuditEntry): AuditEntryJson {
  return {
    id: entry.id,
    at: entry.at.toISOString(),
    action: entry.action,
    asset: entry.asset,
    owner: entry.owner,
    collection: entry.collection,
    actor: entry.actor,
    ...present('requestId', entry.requestId),
    detail: { ...entry.detail },
  }
}

export function collectionJson(collection: Collection): CollectionJson {
  const attributes = Object.entries(collection.attributes).map(([name, definition]) => [
    name,
    {
      required: definition.required ?? false,
      maxLength: definition.maxLength ?? 256,
      ...present('pattern', definition.pattern?.source ?? null),
      ...present('normalize', definition.normalize ?? null),
    },
  ])
  return {
    name: collection.name,
    key: collection.key.source,
    accept: [...collection.accept],
    maxSize: collection.maxSize,
    attributes: Object.fromEntries(attributes),
    access: collection.access,
    keep: collection.keep,
    quota: collection.quota,
    ...present('replaceBy', collection.replaceBy && [...collection.replaceBy]),
  }
}

function present<Name extends string, Value>(name: Name, value: Value | null): Partial<Record<Name, Value>> {
  const result: Partial<Record<Name, Value>> = {}
  if (value !== null) result[name] = value
  return result
}
