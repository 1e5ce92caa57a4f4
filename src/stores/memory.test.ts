import { describeObjectStore } from './conformance.ts'
import { createMemoryStore } from './memory.ts'

describeObjectStore(
  'the memory store',
  async () => {
    const store = createMemoryStore()
    return { store, close: () => store.close() }
  },
  { urls: false },
)
