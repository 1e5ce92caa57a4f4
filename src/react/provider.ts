import { createContext, createElement, type ReactElement, type ReactNode, useContext } from 'react'
import type { Client } from '../client/index.ts'

const Context = createContext<Client | null>(null)

export type KeepsakeProviderProps = {
  readonly client: Client
  readonly children?: ReactNode
}

/**
 * Gives the components and hooks below it their client. Make the client once, outside of any component.
 *
 * @example
 * const keepsake = createClient({ url: 'https://media.example', getToken })
 * <KeepsakeProvider client={keepsake}><App /></KeepsakeProvider>
 */
export function KeepsakeProvider({ client, children }: KeepsakeProviderProps): ReactElement {
  return createElement(Context.Provider, { value: client }, children)
}

/** The provider's client. @throws where there is no provider above. */
export function useKeepsake(): Client {
  const client = useContext(Context)
  if (client) return client
  throw new Error('There is no <KeepsakeProvider> above this component. Put one around the app, with a client.')
}
