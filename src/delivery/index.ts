export { checkVariant, Delivery, type DeliveryOptions, type DeliveryParts } from './delivery.ts'
export { checkExpiresIn, maxExpiresIn, signingTime } from './link.ts'
