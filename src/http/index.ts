export { createHttpApp, type HttpApp, type HttpAppOptions } from './app.ts'
export { assetJson } from './asset-json.ts'
export type { Authorize, AuthorizedCaller, AuthSettings, JwtSettings } from './auth.ts'
export { jsonBodyLimit, readJsonBody } from './body.ts'
export {
  type HttpContext,
  type HttpEnv,
  type PublicHttpEnv,
  refuseOtherOwner,
  requireService,
  trustedCaller,
} from './env.ts'
export { type HttpExtension, parseHttpExtension } from './extension.ts'
export { type OpenedForm, openForm } from './form.ts'
export { createHandler, type Handler, type HandlerOptions, toNodeListener } from './handler.ts'
export { createMetrics, type Metrics } from './metrics.ts'
export { invalidRequest, toKeepsakeError } from './problem.ts'
export { bearer, commonProblems, json, problem } from './routes/contract.ts'
export { assetOutput, uploadTicketOutput } from './schema.ts'
export { type HttpServer, type ServeOptions, serveHttp } from './serve.ts'
export { ticketJson as uploadJson } from './upload-json.ts'
