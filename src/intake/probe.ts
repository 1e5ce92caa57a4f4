import type { Input, InputFormat } from 'mediabunny'
import { kindOf } from '../media/index.ts'
import type { ByteReader } from './content.ts'
import { imageSize } from './image-size.ts'

/** What there is to know of a piece of media beyond its type; null where it is not known. */
export type Measures = {
  /** Pixels, as shown: turned the way the file says. */
  readonly width: number | null
  readonly height: number | null
  /** Seconds. */
  readonly duration: number | null
}

export type ProbeContent = ByteReader & { readonly path?: string | undefined; readonly bytes?: Uint8Array | undefined }

const unknown: Measures = { width: null, height: null, duration: null }

/**
 * Measures an image, a video or a sound from its headers, without decoding it. Never fails: what cannot be measured
 * within the time is not known, and an import does not end for it.
 *
 * @param contentType Normalized, as sniffed.
 * @param timeout Seconds.
 */
export async function probe(contentType: string, content: ProbeContent, timeout = 2): Promise<Measures> {
  const kind = kindOf(contentType)
  if (kind === 'other') return unknown
  const size = kind === 'image' && content.bytes ? imageSize(contentType, content.bytes) : undefined
  if (size) return { ...size, duration: null }
  const controller = new AbortController()
  const timer = Promise.withResolvers<Measures>()
  const handle = setTimeout(() => {
    controller.abort()
    timer.resolve(unknown)
  }, timeout * 1000)
  const work = kind === 'image' ? measureImage(content) : measureTracks(contentType, content, controller.signal)
  try {
    return await Promise.race([work.catch(() => unknown), timer.promise])
  } finally {
    clearTimeout(handle)
  }
}

async function measureImage({ path, bytes }: ProbeContent): Promise<Measures> {
  const input = bytes ?? path
  if (input === undefined) return unknown
  const sharp = await loadSharp()
  // Only the header is read, so the size that an image claims costs nothing: its pixels are not limited here.
  const { width, height, orientation, pageHeight } = await sharp(input, { limitInputPixels: false }).metadata()
  // An animation's frames lie under one another; orientations from 5 on are turned by a quarter (EXIF 2.3, tag 274).
  const turned = (orientation ?? 1) >= 5
  const frame = pageHeight ?? height
  return { width: turned ? frame : width, height: turned ? width : frame, duration: null }
}

/**
 * The type of a film's container with sound alone in it: `audio/mp4` for `video/mp4` and so on. As it was where there is
 * a picture, or where nothing can be told within the time (seconds).
 */
export async function soundType(contentType: string, content: ByteReader, timeout: number): Promise<string> {
  const controller = new AbortController()
  const handle = setTimeout(() => controller.abort(), timeout * 1000)
  try {
    const tracks = await withInput(contentType, content, controller.signal, async (input) => ({
      pictures: await input.getVideoTracks(),
      sounds: await input.getAudioTracks(),
    }))
    const soundAlone = tracks !== undefined && tracks.pictures.length === 0 && tracks.sounds.length > 0
    return soundAlone ? contentType.replace(/^video\//, 'audio/') : contentType
  } catch {
    return contentType
  } finally {
    clearTimeout(handle)
  }
}

let sharpModule: Promise<typeof import('sharp')['default']> | undefined

/** Loaded at the first image, so that a start stays fast; bounded to one thread an image and no cache (design, section 8). */
function loadSharp() {
  sharpModule ??= import('sharp').then(({ default: sharp }) => {
    sharp.concurrency(1)
    sharp.cache(false)
    return sharp
  })
  return sharpModule
}

async function measureTracks(contentType: string, content: ByteReader, signal: AbortSignal): Promise<Measures> {
  const measures = await withInput(contentType, content, signal, async (input) => {
    const duration = (await input.getDurationFromMetadata()) ?? (await input.computeDuration())
    const track = kindOf(contentType) === 'video' ? await input.getPrimaryVideoTrack() : null
    return {
      width: track === null ? null : positive(Math.round(await track.getDisplayWidth())),
      height: track === null ? null : positive(Math.round(await track.getDisplayHeight())),
      duration: positive(duration),
    }
  })
  return measures ?? unknown
}

/** Opens what was sniffed as the one format it is; undefined where that is none with tracks. */
async function withInput<T>(
  contentType: string,
  content: ByteReader,
  signal: AbortSignal,
  work: (input: Input) => Promise<T>,
): Promise<T | undefined> {
  const { Input, CustomSource, ...formats } = await import('mediabunny')
  const format = formatOf(contentType, formats)
  if (format === undefined || signal.aborted) return undefined
  // Its own source over our reader, and the one format that was sniffed: the library also reads playlists, which name
  // other files and addresses, and those it shall never open.
  const source = new CustomSource({
    getSize: () => content.size,
    read: (start, end) => content.read(start, end - start),
    maxCacheSize: 1024 * 1024,
    prefetchProfile: 'fileSystem',
    handleUnhandledError: () => {},
  })
  const input: Input = new Input({ source, formats: [format] })
  const stop = () => input.dispose()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await work(input)
  } finally {
    signal.removeEventListener('abort', stop)
    input.dispose()
  }
}

type Formats = Pick<
  typeof import('mediabunny'),
  'ADTS' | 'FLAC' | 'MATROSKA' | 'MP3' | 'MP4' | 'MPEG_TS' | 'OGG' | 'QTFF' | 'WAVE' | 'WEBM'
>

function formatOf(contentType: string, formats: Formats): InputFormat | undefined {
  switch (contentType) {
    case 'video/mp4':
    case 'audio/mp4':
    case 'video/3gpp':
      return formats.MP4
    case 'video/quicktime':
      return formats.QTFF
    case 'video/webm':
    case 'audio/webm':
      return formats.WEBM
    case 'video/x-matroska':
      return formats.MATROSKA
    case 'video/mp2t':
      return formats.MPEG_TS
    case 'audio/mpeg':
      return formats.MP3
    case 'audio/wav':
      return formats.WAVE
    case 'audio/ogg':
    case 'video/ogg':
      return formats.OGG
    case 'audio/flac':
      return formats.FLAC
    case 'audio/aac':
      return formats.ADTS
    default:
      return undefined
  }
}

function positive(value: number): number | null {
  return Number.isFinite(value) && value > 0 ? value : null
}
