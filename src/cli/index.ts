export type { Installation, OpenInstallation } from './installation.ts'
export type { Io } from './io.ts'
export { run } from './run.ts'
