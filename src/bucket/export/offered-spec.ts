import type { BucketSpec } from '../desired/bucket-spec.ts'
import type { Missing } from '../offers.ts'
import { offeredRules } from '../parts/lifecycle.ts'
import { offeredStatements } from '../parts/policy.ts'

/** A specification without what a store has not. */
export function offeredSpec(spec: BucketSpec, missing: Missing): BucketSpec {
  return {
    ...spec,
    versioning: spec.versioning && missing.versioning === undefined,
    statements: missing.policy === undefined ? offeredStatements(spec.statements, missing).wanted : [],
    lifecycle: offeredRules(spec.lifecycle, missing).wanted,
    logging: missing.logging === undefined ? spec.logging : null,
    inventory: missing.inventory === undefined ? spec.inventory : null,
    replication: missing.replication === undefined ? spec.replication : null,
  }
}
