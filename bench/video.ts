import { randomBytes } from 'node:crypto'
import { BufferTarget, EncodedPacket, EncodedVideoPacketSource, Mp4OutputFormat, Output } from 'mediabunny'

/** An MP4 of about so many bytes that any reader can find its way through: a video track of noise, a megabyte a frame. */
export async function videoBytes(size: number): Promise<Buffer> {
  const target = new BufferTarget()
  const output = new Output({ format: new Mp4OutputFormat({ fastStart: 'in-memory' }), target })
  const track = new EncodedVideoPacketSource('vp9')
  output.addVideoTrack(track, { frameRate: 24 })
  await output.start()
  const frames = Math.max(1, Math.floor(size / 1_000_000))
  const decoderConfig = { codec: 'vp09.00.10.08', codedWidth: 1280, codedHeight: 720 }
  for (let frame = 0; frame < frames; frame += 1) {
    const noise = randomBytes(1_000_000)
    const packet = new EncodedPacket(noise, 'key', frame / 24, 1 / 24)
    await track.add(packet, { decoderConfig })
  }
  await output.finalize()
  if (target.buffer === null) throw new Error('The video was not written.')
  return Buffer.from(target.buffer)
}
