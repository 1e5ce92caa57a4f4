export { type GenerationsOptions, generations } from './generations.ts'
