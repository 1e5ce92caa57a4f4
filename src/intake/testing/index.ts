export * from './media-samples.ts'
