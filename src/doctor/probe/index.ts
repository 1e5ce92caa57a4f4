export { isLoopback } from './hostile-steps.ts'
export { type ProbeId, type ProbeParts, probe, probeFolder } from './probe.ts'
export { probeSteps } from './steps.ts'
