import { type CollectionDefinition, KeepsakeError } from '../../index.ts'

/**
 * The document's folders, and what stands in them: `avatars/user_1_avatar.jpg`, `thumbnails/video_1_thumb.jpg`. Such a
 * name is an address that stays, and says whose the image is. The keys in the bucket are Keepsake's, one for each image
 * that ever stood there: `avatars/user_1_avatar_0192f0a1.jpg`.
 */
export const folders = ['avatars', 'thumbnails', 'uploads'] as const
export type Folder = (typeof folders)[number]

/** Where files stand whose key is none of those names, such as `images/photo.jpg`. */
const otherFiles = 'profile-files'

const role = { required: true, pattern: /^[A-Za-z0-9-]+$/, maxLength: 64 }

export const collections = {
  avatars: {
    key: 'avatars/user_{owner}_{role}_{id8}.{ext}',
    accept: ['image'],
    maxSize: '10 MB',
    attributes: { role },
    replaceBy: ['role'],
  },
  thumbnails: {
    key: 'thumbnails/video_{video}_{role}_{id8}.{ext}',
    accept: ['image'],
    maxSize: '10 MB',
    attributes: { video: { required: true, maxLength: 128 }, role },
    replaceBy: ['video', 'role'],
  },
  uploads: {
    key: 'uploads/user_{owner}_{role}_{id8}.{ext}',
    attributes: { role },
    replaceBy: ['role'],
  },
  [otherFiles]: {
    key: '{folder}/{id8}_{file}',
    attributes: { path: { required: true, maxLength: 700 }, folder: { maxLength: 700 }, file: { maxLength: 700 } },
    replaceBy: ['path'],
  },
} satisfies Record<string, CollectionDefinition>

/** Where one current image stands. */
export type Place = {
  readonly collection: string
  /** Left out: nobody's, the app's own. */
  readonly owner?: string
  readonly attributes: Readonly<Record<string, string>>
}

export function isFolder(name: string): name is Folder {
  return folders.some((folder) => folder === name)
}

/** The owner of what belongs to the app, as Keepsake names it. */
export const nobody = 'default'

/** The place of an image by whom or what it shows; its name then is `user_<id>_<prefix>`, or `video_<id>_<prefix>`. */
export function placeOf(folder: string, prefix: string, id: string | number): Place {
  if (!isFolder(folder)) {
    throw new KeepsakeError('invalid_request', `There is no folder '${folder}'. Folders: ${folders.join(', ')}.`)
  }
  const subject = `${id}`
  if (!/^[^/\\\p{Cc}]{1,128}$/u.test(subject) || subject === nobody) {
    throw new KeepsakeError('invalid_request', 'An id has 1 to 128 characters, none of them a slash or a control.')
  }
  if (!role.pattern.test(prefix)) {
    throw new KeepsakeError('invalid_request', `The prefix is '${prefix}'. Allowed are letters, digits and -.`)
  }
  if (folder === 'thumbnails') return { collection: folder, attributes: { video: subject, role: prefix } }
  return { collection: folder, owner: subject, attributes: { role: prefix } }
}

/** The place that a key of the document names; a name that is none of its own is a file of the app's. */
export function placeOfKey(key: string): Place {
  const segments = key.split('/')
  if (segments.some((segment) => !/^[^\\\p{Cc}]+$/u.test(segment) || /^\.+$/.test(segment)) || key.length > 700) {
    throw new KeepsakeError('invalid_request', 'A key is a path such as avatars/user_1_avatar.jpg.')
  }
  const [folder = '', name = ''] = segments
  const named = /^(user|video)_(.+)_([A-Za-z0-9-]+?)(?:\.[A-Za-z0-9]+)?$/u.exec(name)
  if (segments.length === 2 && named !== null && isFolder(folder) && named[1] === subjectOf(folder)) {
    const [, , id = '', prefix = ''] = named
    if (id !== nobody) return placeOf(folder, prefix, id)
  }
  const [file = '', ...above] = segments.toReversed()
  return { collection: otherFiles, attributes: { path: key, folder: above.toReversed().join('/') || 'files', file } }
}

/** What an image is called, by what it turned out to be. */
export function filenameOf({ collection, owner, attributes }: Place, extension: string): string {
  if (!isFolder(collection)) return attributes.file ?? ''
  const subject = collection === 'thumbnails' ? attributes.video : owner
  return `${subjectOf(collection)}_${subject}_${attributes.role}.${extension}`
}

function subjectOf(folder: Folder): 'user' | 'video' {
  return folder === 'thumbnails' ? 'video' : 'user'
}
