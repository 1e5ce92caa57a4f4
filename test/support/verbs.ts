import type { Verbs } from '../../src/verbs.ts'

/** Verbs as a plain object, to lay others over some of them. */
export function plainVerbs(verbs: Verbs): Verbs {
  return {
    import: (...given) => verbs.import(...given),
    upload: (...given) => verbs.upload(...given),
    uploadStatus: (...given) => verbs.uploadStatus(...given),
    uploadParts: (...given) => verbs.uploadParts(...given),
    completeUpload: (...given) => verbs.completeUpload(...given),
    abortUpload: (...given) => verbs.abortUpload(...given),
    get: (...given) => verbs.get(...given),
    getByKey: (...given) => verbs.getByKey(...given),
    list: (...given) => verbs.list(...given),
    delete: (...given) => verbs.delete(...given),
    url: (...given) => verbs.url(...given),
    urls: (...given) => verbs.urls(...given),
    read: (...given) => verbs.read(...given),
    audit: (...given) => verbs.audit(...given),
    report: (...given) => verbs.report(...given),
    update: (...given) => verbs.update(...given),
  }
}
