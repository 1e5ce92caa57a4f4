export { aiContent } from './ai-content.ts'
export { type GeneratedBy, type KeptGenerated, keepGenerated } from './keep-generated.ts'
