import { startEmbeddedS3 } from '../index.ts'
import { BUCKET, credentials } from './test-kit.ts'

/** A server in a process of its own, for tests that kill it: `node testing/test-server.ts DIR`. Prints its port. */
const [dir] = process.argv.slice(2)
if (dir === undefined) throw new Error('Give the folder to serve')
const server = await startEmbeddedS3({ dir, credentials, buckets: [BUCKET] })
console.log(server.port)
