import { systemClock } from '../../src/clock.ts'
import { Doctor, type DoctorParts } from '../../src/doctor/index.ts'
import { createInlineJobs } from '../../src/jobs/index.ts'

/** A doctor that has a bucket to look at, and nothing else. */
export function bucketDoctor(parts: Pick<DoctorParts, 'store' | 'place'> & Partial<DoctorParts>): Doctor {
  return new Doctor({
    clock: systemClock,
    logger: { warn: () => {} },
    jobs: createInlineJobs(),
    catalogue: null,
    installation: null,
    ...parts,
  })
}
