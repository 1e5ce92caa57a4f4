export { LocalUpkeep } from './local-upkeep.ts'
export { Promoter, type PromotionOptions, type PromotionProgress, type PromotionResult } from './promoter.ts'
