export {
  type RebuildProgress,
  type RebuildRequest,
  type RebuildResult,
  rebuild,
} from './rebuild/rebuild.ts'
export { type MonthlyCost, type MonthlyUsage, monthlyCost } from './report/cost.ts'
export { reportCsv } from './report/csv.ts'
export { choosePrices, priceTables } from './report/prices/index.ts'
export {
  type Report,
  type ReportFigures,
  type ReportRequest,
  type ReportRow,
  report,
} from './report/report.ts'
export { finishDelete, settle, type UpkeepParts } from './settle.ts'
export { sweep } from './sweep.ts'
export { UploadSweep } from './sweep-uploads.ts'
