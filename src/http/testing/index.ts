/** What tests beyond this folder look at. */
export { BodyBudget } from '../body-budget.ts'
