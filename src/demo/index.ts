export { paintPicture } from './picture.ts'
export { type Provider, startProvider } from './provider.ts'
