export { announcing } from './announcing.ts'
export { Courier, type CourierParts } from './courier.ts'
export { parseEndpoints, type WebhookDefinition, type WebhookEndpoint } from './endpoint.ts'
export {
  createWebhooks,
  type WebhookEndpointStatus,
  type Webhooks,
  type WebhookTest,
} from './webhooks.ts'
