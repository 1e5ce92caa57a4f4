import { checks } from './checks.ts'

/** From bad to merely worth knowing. For controls of AWS Security Hub it is theirs, but for what Keepsake does without. */
export const severities = ['critical', 'high', 'medium', 'low', 'info'] as const
export type Severity = (typeof severities)[number]

/**
 * `not_offered`: the store has no such thing, or this installation does without, so there is nothing to judge.
 * `unknown`: it could not be looked at (denied, failed, out of time), which is never taken for a pass.
 */
export const statuses = ['pass', 'fail', 'not_offered', 'unknown'] as const
export type Status = (typeof statuses)[number]

/** What one check found out. */
export type Finding = {
  /** Stable: `S3.5` as Security Hub names it, or `probe.clock`. */
  readonly id: string
  readonly title: string
  readonly severity: Severity
  readonly status: Status
  /** What was found, with values. Never a secret. */
  readonly seen: string
  readonly why: string
  /** The exact command or setting. */
  readonly fix: string
}

/** What is known of a check's subject. */
export type Verdict = {
  readonly status: Status
  readonly seen: string
  /** Where it depends on what was seen. Default: the check's own. */
  readonly severity?: Severity
  readonly fix?: string
}

export const pass = (seen: string): Verdict => ({ status: 'pass', seen })
export const fail = (seen: string, more: Pick<Verdict, 'severity' | 'fix'> = {}): Verdict => ({
  status: 'fail',
  seen,
  ...more,
})
export const notOffered = (seen: string): Verdict => ({ status: 'not_offered', seen })
export const unknown = (seen: string): Verdict => ({ status: 'unknown', seen })

export type CheckId = keyof typeof checks

/** Fills a check's texts in: `{bucket}` and the like in its fix. */
export function finding(id: CheckId, verdict: Verdict, words: Readonly<Record<string, string>> = {}): Finding {
  const { title, severity, why, fix } = checks[id]
  return {
    id,
    title,
    severity: verdict.severity ?? severity,
    status: verdict.status,
    seen: verdict.seen,
    why,
    fix: (verdict.fix ?? fix).replace(/\{(\w+)\}/g, (whole, name: string) => words[name] ?? whole),
  }
}

export type Report = {
  /** Whether nothing failed, but for what is only worth knowing, and nothing is unknown. */
  readonly ok: boolean
  readonly checkedAt: Date
  readonly counts: Readonly<Record<Status, number>>
  /** In the order of docs/doctor.md. */
  readonly findings: readonly Finding[]
}

export function report(findings: readonly Finding[], checkedAt: Date): Report {
  const counts = { pass: 0, fail: 0, not_offered: 0, unknown: 0 }
  for (const { status } of findings) counts[status] += 1
  const order = new Map(Object.keys(checks).map((id, index) => [id, index]))
  return {
    ok: findings.every(
      ({ status, severity }) =>
        status === 'pass' || status === 'not_offered' || (status === 'fail' && severity === 'info'),
    ),
    checkedAt,
    counts,
    findings: findings.toSorted((a, b) => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0)),
  }
}
