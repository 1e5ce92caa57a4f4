import { KeepsakeError } from '../../../media/index.ts'
import { aws } from './aws.ts'
import { others } from './others.ts'
import type { PriceTable, StorageClassPrices } from './price-table.ts'

export const priceTables: readonly PriceTable[] = [...aws, ...others]

export type ChosenPrices = {
  readonly table: PriceTable
  readonly className: string
  readonly prices: StorageClassPrices
}

/**
 * @param id `aws:eu-central-1`, or with a class of storage `aws:us-east-1:standard-ia`.
 * @throws {KeepsakeError} `invalid_request`, naming what there is.
 */
export function choosePrices(id: string): ChosenPrices {
  for (const table of priceTables) {
    const className = id === table.id ? 'standard' : id.startsWith(`${table.id}:`) ? id.slice(table.id.length + 1) : ''
    const prices = Object.hasOwn(table.classes, className) ? table.classes[className] : undefined
    if (prices !== undefined) return { table, className, prices }
    if (className !== '') {
      throw new KeepsakeError(
        'invalid_request',
        `No prices are known for the class '${className}' of ${table.name}. Known: ${Object.keys(table.classes).join(', ')}.`,
      )
    }
  }
  throw new KeepsakeError(
    'invalid_request',
    `No prices are known for '${id}'. Known: ${priceTables.map((table) => table.id).join(', ')}.`,
  )
}
