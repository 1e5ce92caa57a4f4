import { type Finding, KeepsakeError } from '../../index.ts'

/** What tells whether the bucket takes an object and gives it back, also by a presigned link. */
const probes = ['probe.put', 'probe.head', 'probe.get', 'probe.presigned-get']

export type Connection = { readonly ok: boolean; readonly message: string }

/** A Keepsake, or whoever asks one. */
type Doctor = {
  doctor(options: {
    readonly only: readonly string[]
  }): Promise<{ readonly findings: readonly Pick<Finding, 'status' | 'seen' | 'fix'>[] }>
}

/**
 * The document's test: one object is put, read back and removed again.
 *
 * @returns What the document's script prints: `✅ S3 connection successful!` or `❌ S3 connection failed: …`
 */
export async function testConnection(keepsake: Doctor): Promise<Connection> {
  try {
    const { findings } = await keepsake.doctor({ only: probes })
    const wrong =
      findings.find(({ status }) => status === 'fail') ?? findings.find(({ status }) => status === 'unknown')
    if (wrong === undefined) return { ok: true, message: '✅ S3 connection successful!' }
    return failed(wrong.status === 'fail' ? `${wrong.seen} ${wrong.fix}` : wrong.seen)
  } catch (error) {
    return failed(KeepsakeError.from(error).message)
  }
}

function failed(why: string): Connection {
  return { ok: false, message: `❌ S3 connection failed: ${why}` }
}
