export { checkVariant, Delivery, type DeliveryOptions, type DeliveryParts } from './delivery.ts'
export { maxExpiresIn } from './link.ts'
