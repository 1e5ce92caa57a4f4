/** Uppy as it comes, set up as docs/uploads.md says: see ../uppy-lab.ts. */
import AwsS3 from '@uppy/aws-s3'
import Uppy from '@uppy/core'
import type { UppyLab, UppyOutcome } from '../uppy-lab.ts'

const uppy = new Uppy()
const reported: number[] = []
let outcome: Promise<UppyOutcome> | undefined

// Uppy does not tell its server how large a file is, which has to know.
uppy.on('file-added', (file) => uppy.setFileMeta(file.id, { size: file.size }))
uppy.on('upload-progress', (_, progress) => void reported.push(progress.bytesUploaded))

const lab: UppyLab = {
  start(companionEndpoint, { multipart }) {
    uppy.use(AwsS3, { companionEndpoint, shouldUseMultipart: multipart })
    const file = document.querySelector<HTMLInputElement>('input[type=file]')?.files?.[0]
    if (!file) throw new Error('No file is chosen.')
    uppy.addFile({ name: file.name, type: file.type, data: file, meta: { album: 'summer' } })
    outcome = uppy.upload().then((result) => ({
      successful: (result?.successful ?? []).map(({ name, uploadURL }) => ({ name, location: uploadURL ?? '' })),
      failed: (result?.failed ?? []).map(({ name, error }) => ({ name, error: error ?? '' })),
    }))
  },
  pauseOrResume() {
    for (const { id } of uppy.getFiles()) uppy.pauseResume(id)
  },
  cancel: () => uppy.cancelAll(),
  progress: () => reported,
  outcome: () => outcome ?? Promise.reject(new Error('Nothing was started.')),
}

Object.assign(globalThis, { uppyLab: lab })
