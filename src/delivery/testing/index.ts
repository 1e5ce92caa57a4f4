export { type Judge, judge } from './cloudfront-judge.ts'
