import { sql as catalogue } from './0001-catalogue.ts'
import { sql as uploads } from './0002-uploads.ts'

export type Migration = { readonly id: number; readonly name: string; readonly sql: string }

/** In order, without gaps. One that was released is never edited: its checksum is in people's databases. */
export const migrations: readonly Migration[] = [
  { id: 1, name: 'catalogue', sql: catalogue },
  { id: 2, name: 'uploads', sql: uploads },
]
