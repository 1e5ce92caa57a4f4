export { type CloudFrontOptions, CloudFrontSigner, readSigningKey } from './cloudfront/index.ts'
export { checkVariant, Delivery, type DeliveryOptions, type DeliveryParts } from './delivery.ts'
export { type LinkSigner, maxExpiresIn } from './link.ts'
