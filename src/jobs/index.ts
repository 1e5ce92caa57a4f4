export type { JobHandlers, Jobs, ScheduledWork } from './jobs.ts'
export { createInlineJobs, type ManualJobs, type RecordedNudge } from './manual-jobs.ts'
export { createJobs, type JobsOptions } from './queue-jobs.ts'
