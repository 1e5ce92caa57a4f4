export { type CloudFrontOptions, CloudFrontSigner } from './cloudfront-signer.ts'
export { readSigningKey } from './signing-key.ts'
