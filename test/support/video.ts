import {
  BufferTarget,
  EncodedPacket,
  EncodedVideoPacketSource,
  Mp4OutputFormat,
  Output,
  WebMOutputFormat,
} from 'mediabunny'

/** A small film of one second, 320 by 180 pixels, that any reader can find its way through. Its frames hold noise. */
export async function videoBytes(container: 'mp4' | 'webm'): Promise<Buffer> {
  const target = new BufferTarget()
  const output = new Output({ format: container === 'mp4' ? new Mp4OutputFormat() : new WebMOutputFormat(), target })
  const track = new EncodedVideoPacketSource('vp9')
  output.addVideoTrack(track)
  await output.start()
  const decoderConfig = { codec: 'vp09.00.10.08', codedWidth: 320, codedHeight: 180 }
  for (let frame = 0; frame < 10; frame += 1) {
    const noise = Uint8Array.from({ length: 200 }, (_, index) => (index * 31 + frame) % 256)
    await track.add(new EncodedPacket(noise, frame === 0 ? 'key' : 'delta', frame / 10, 0.1), { decoderConfig })
  }
  await output.finalize()
  if (target.buffer === null) throw new Error('The video was not written.')
  return Buffer.from(target.buffer)
}
