import {
  BufferTarget,
  EncodedAudioPacketSource,
  EncodedPacket,
  EncodedVideoPacketSource,
  MkvOutputFormat,
  MovOutputFormat,
  Mp4OutputFormat,
  OggOutputFormat,
  Output,
  type OutputFormat,
  WavOutputFormat,
  WebMOutputFormat,
} from 'mediabunny'
import sharp from 'sharp'

/** Real files for tests, made by the libraries that write them, so that no binary lies in the repository. */

export type ImageFormat = 'png' | 'jpeg' | 'gif' | 'webp' | 'avif' | 'tiff'

/** A picture with noise in it. @param orientation EXIF, 1 to 8. */
export function imageSample(format: ImageFormat, width = 32, height = 20, orientation?: number): Promise<Buffer> {
  const pixels = Buffer.alloc(width * height * 3)
  for (let index = 0; index < pixels.length; index += 1) pixels[index] = (index * 7919) % 251
  const image = sharp(pixels, { raw: { width, height, channels: 3 } })
  return (orientation === undefined ? image : image.withMetadata({ orientation })).toFormat(format).toBuffer()
}

const containers = {
  mp4: { format: () => new Mp4OutputFormat(), video: true, audio: 'opus' },
  mov: { format: () => new MovOutputFormat(), video: true, audio: 'pcm-s16' },
  webm: { format: () => new WebMOutputFormat(), video: true, audio: 'opus' },
  'audio.webm': { format: () => new WebMOutputFormat(), video: false, audio: 'opus' },
  mkv: { format: () => new MkvOutputFormat(), video: true, audio: 'opus' },
  ogg: { format: () => new OggOutputFormat(), video: false, audio: 'opus' },
  wav: { format: () => new WavOutputFormat(), video: false, audio: 'pcm-s16' },
} as const satisfies Record<string, { format: () => OutputFormat; video: boolean; audio: 'opus' | 'pcm-s16' }>

export type Container = keyof typeof containers

/** RFC 7845, section 5.1: version 1, one channel, no pre-skip, 48 kHz. */
const opusHead = Buffer.from('OpusHead\x01\x01\0\0\x80\xbb\0\0\0\0\0', 'latin1')

/** A file of two seconds, 320 by 180 pixels where there is a picture. Its frames hold noise; nothing here decodes them. */
export async function trackSample(container: Container): Promise<Buffer> {
  const { format, video, audio } = containers[container]
  const target = new BufferTarget()
  const output = new Output({ format: format(), target })
  const picture = new EncodedVideoPacketSource('vp9')
  const sound = new EncodedAudioPacketSource(audio)
  if (video) output.addVideoTrack(picture)
  output.addAudioTrack(sound)
  await output.start()
  const noise = (size: number) => Uint8Array.from({ length: size }, (_, index) => (index * 31 + size) % 256)
  for (let index = 0; index < 20; index += 1) {
    const at = index / 10
    if (video) {
      await picture.add(new EncodedPacket(noise(500), index === 0 ? 'key' : 'delta', at, 0.1), {
        decoderConfig: { codec: 'vp09.00.10.08', codedWidth: 320, codedHeight: 180 },
      })
    }
    // A tenth of a second: opus packets are of any size here, PCM has 4800 samples of two bytes.
    await sound.add(new EncodedPacket(noise(audio === 'opus' ? 100 : 9600), 'key', at, 0.1), {
      decoderConfig: {
        codec: audio,
        numberOfChannels: 1,
        sampleRate: 48_000,
        ...(audio === 'opus' && { description: opusHead }),
      },
    })
  }
  await output.finalize()
  if (target.buffer === null) throw new TypeError('nothing was written')
  return Buffer.from(target.buffer)
}

/** MPEG-1 layer III at 128 kbit/s and 44.1 kHz: 417 bytes and 1152 samples a frame. */
export function mp3Sample(frames = 77): Buffer {
  const frame = Buffer.alloc(417)
  frame.writeUInt32BE(0xfffb9064)
  return Buffer.concat(new Array<Buffer>(frames).fill(frame))
}

/** AAC in ADTS frames of 200 bytes, 1024 samples at 44.1 kHz. */
export function aacSample(frames = 86): Buffer {
  const frame = Buffer.alloc(200)
  Buffer.from([0xff, 0xf1, 0x50, 0x40 | (200 >> 11), (200 >> 3) & 0xff, ((200 & 7) << 5) | 0x1f, 0xfc]).copy(frame)
  return Buffer.concat(new Array<Buffer>(frames).fill(frame))
}

/** A box of ISO/IEC 14496-12. */
export function box(type: string, content: Buffer | string): Buffer {
  const body = Buffer.from(content)
  const head = Buffer.alloc(8)
  head.writeUInt32BE(body.length + 8)
  head.write(type, 4, 'latin1')
  return Buffer.concat([head, body])
}
