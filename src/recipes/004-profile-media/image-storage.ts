import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Keepsake, KeepsakeError, type Verbs } from '../../index.ts'
import { type Bytes, Images } from './images.ts'
import { type Place, placeOf, placeOfKey } from './places.ts'

export type ImageUploaded = { readonly success: true; readonly url: string; readonly filename: string }
export type FileUploaded = { readonly success: true; readonly url: string; readonly key: string }
export type UploadFailed = { readonly success: false; readonly error: string }
export type Migrated = { readonly filename: string } & (
  | { readonly success: true /** One that is newer was there already. */; readonly skipped: boolean }
  | UploadFailed
)

export type ImageStorageOptions = {
  /** What stable addresses begin with, where Keepsake is mounted under a path or another host. Default: nothing. */
  readonly baseUrl?: string
}

/**
 * The functions of the document. An upload or a delete that fails is told in the result, not thrown.
 *
 * @example
 * const storage = imageStorage(await createKeepsake({ extensions: [profileMedia()] }))
 * const result = await storage.uploadImage(form.get('avatar'), 'avatars', 'avatar', user.id)
 */
export interface ImageStorage {
  /** Keeps an image in the place of the one that stood there. `userId` is the video's in `thumbnails`. */
  uploadImage(
    file: Bytes,
    folder: string,
    prefix: string,
    userId: string | number,
  ): Promise<ImageUploaded | UploadFailed>

  /** A link that opens the image for up to an hour; null where there is none, or no name. */
  getImageUrl(filename: string | null | undefined, folder: string): Promise<string | null>

  /**
   * The address of an image that stays the same, for templates: it leads to whatever stands there. Whoever opens it needs
   * the right to, unless the folder is public.
   */
  imageUrl(filename: string, folder: string): string

  /** Keeps a file of this machine, or bytes, under the key. What it is, its bytes say; `contentType` is not needed. */
  uploadFile(
    file: string | Bytes,
    key: string,
    options?: { readonly contentType?: string },
  ): Promise<FileUploaded | UploadFailed>

  /** A link that opens the file for up to an hour; null where there is none. */
  getFileUrl(key: string): Promise<string | null>

  /** False where there was nothing, or it failed. */
  deleteFile(key: string): Promise<boolean>

  /** Whether the bucket answers. Where it does not and a fall-back is set up, images are kept locally. */
  isAvailable(): Promise<boolean>

  /** Every file of a folder, such as `static/avatars`; one that a user has replaced since is left alone. */
  migrateLocalToS3(localFolder: string, prefix: string): Promise<readonly Migrated[]>
}

export function imageStorage(
  keepsake: Verbs & Pick<Keepsake, 'check'>,
  { baseUrl = '' }: ImageStorageOptions = {},
): ImageStorage {
  const images = new Images(keepsake)
  const placeNamed = (key: string): Place | undefined => {
    try {
      return placeOfKey(key)
    } catch (error) {
      if (KeepsakeError.is(error, 'invalid_request')) return undefined
      throw error
    }
  }

  const storage: ImageStorage = {
    uploadImage: (file, folder, prefix, userId) =>
      attempt(async () => {
        const { asset, filename } = await images.put(placeOf(folder, prefix, userId), file)
        return { success: true, url: asset.url ?? '', filename }
      }),
    getImageUrl: async (filename, folder) => (filename ? storage.getFileUrl(`${folder}/${filename}`) : null),
    imageUrl: (filename, folder) =>
      `${baseUrl}${mediaPath}/${encodeURIComponent(folder)}/${encodeURIComponent(filename)}`,
    uploadFile: (file, key) =>
      attempt(async () => {
        const bytes = typeof file === 'string' ? await openFile(file) : file
        const { asset } = await images.put(placeOfKey(key), bytes)
        return { success: true, url: asset.url ?? '', key }
      }),
    async getFileUrl(key) {
      const place = placeNamed(key)
      return (place && (await images.current(place))?.url) ?? null
    },
    async deleteFile(key) {
      const place = placeNamed(key)
      return place !== undefined && (await images.remove(place).catch(() => false))
    },
    async isAvailable() {
      const parts = await keepsake.check()
      return parts.some(({ name, ok }) => name === 'primary' && ok)
    },
    async migrateLocalToS3(localFolder, prefix) {
      const results: Migrated[] = []
      for (const entry of (await readdir(localFolder, { withFileTypes: true })).sort(byName)) {
        if (!entry.isFile() || entry.name.startsWith('.')) continue
        const key = `${prefix}/${entry.name}`
        const skipped = (await storage.getFileUrl(key)) !== null
        const result = skipped || (await storage.uploadFile(join(localFolder, entry.name), key))
        results.push({
          filename: entry.name,
          ...(result === true || result.success ? { success: true, skipped } : result),
        })
      }
      return results
    },
  }
  return storage
}

/** Where the routes of the recipe are. */
export const mediaPath = '/media'

async function attempt<T>(work: () => Promise<T>): Promise<T | UploadFailed> {
  try {
    return await work()
  } catch (error) {
    return { success: false, error: KeepsakeError.from(error).message }
  }
}

async function openFile(path: string): Promise<AsyncIterable<Uint8Array>> {
  const found = await stat(path).catch(() => undefined)
  if (!found?.isFile()) throw new KeepsakeError('invalid_source', `There is no file ${path}.`)
  return createReadStream(path)
}

function byName(one: { readonly name: string }, other: { readonly name: string }): number {
  return one.name < other.name ? -1 : 1
}
