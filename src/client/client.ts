import { type ApiOptions, createApi } from './api.ts'
import { type LinkOptions, Links } from './links.ts'
import type { Asset, AssetPage, Link, ListQuery, Upload, UploadOptions } from './types.ts'
import { startUpload } from './upload.ts'

export type ClientOptions = ApiOptions & {
  /** Seconds that links live, 1 to 3600. Default: the server's setting. */
  readonly linksExpireIn?: number | undefined
}

export interface Client {
  /**
   * Sends a file straight to the bucket and has it verified. Retries what may pass, waits while the browser is offline,
   * and goes on with what a closed page left behind. Awaited, it is the stored asset.
   *
   * @throws {KeepsakeClientError} what the server refused (`content_type_refused`, `content_too_large`, …), or that the
   *   API or the bucket did not answer for too long. An abort throws the signal's reason, an `AbortError` by default.
   */
  upload(file: Blob, options: UploadOptions): Upload

  /** @throws {KeepsakeClientError} `asset_not_found`, also for another owner's asset. */
  get(id: string): Promise<Asset>

  /** One page, newest first. */
  list(collection: string, query?: ListQuery): Promise<AssetPage>

  /** Every asset of a collection, page after page, newest first. */
  listAll(collection: string, query?: ListQuery): AsyncGenerator<Asset, void, undefined>

  /**
   * An address that opens the media now. It is kept until it nears its end, and those that are asked for at the same
   * time are asked for together.
   *
   * @throws {KeepsakeClientError} `asset_not_found`, `asset_not_stored`
   */
  url(id: string, options?: LinkOptions): Promise<string>

  /** The same, with its end. */
  link(id: string, options?: LinkOptions): Promise<Link>

  /** Deletes an asset; it is unreadable from then on. @throws {KeepsakeClientError} `asset_not_found` */
  remove(id: string): Promise<void>
}

/**
 * Keepsake from a browser, or from Node.
 *
 * @example
 * const keepsake = createClient({ url: 'https://media.example', getToken: () => session.token })
 * const asset = await keepsake.upload(file, { collection: 'avatars' })
 * image.src = await keepsake.url(asset.id)
 */
export function createClient(options: ClientOptions): Client {
  const api = createApi(options)
  const links = new Links(api, options.linksExpireIn)
  const list = (collection: string, query: ListQuery = {}) => api<AssetPage>('GET', listPath(collection, query))
  return {
    upload: (file, uploadOptions) => startUpload(api, options.url, file, uploadOptions),
    get: (id) => api('GET', assetPath(id)),
    list,
    async *listAll(collection, query = {}) {
      for (let { cursor } = query; ; ) {
        const { assets, nextCursor } = await list(collection, { ...query, cursor })
        yield* assets
        if (nextCursor === null) return
        cursor = nextCursor
      }
    },
    link: (id, linkOptions = {}) => links.get(id, linkOptions),
    url: async (id, linkOptions = {}) => (await links.get(id, linkOptions)).url,
    async remove(id) {
      await api('DELETE', assetPath(id))
      links.drop(id)
    },
  }
}

function assetPath(id: string): string {
  return `/v1/assets/${encodeURIComponent(id)}`
}

function listPath(collection: string, { attributes, ...query }: ListQuery): string {
  const search = new URLSearchParams()
  const named = Object.entries(attributes ?? {}).map(([name, value]) => [`attributes.${name}`, value] as const)
  for (const [name, value] of [...Object.entries(query), ...named]) {
    if (value !== undefined) search.set(name, value instanceof Date ? value.toISOString() : `${value}`)
  }
  return `/v1/collections/${encodeURIComponent(collection)}/assets?${search}`
}
