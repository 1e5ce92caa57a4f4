/** The bucket that every side puts into. */
export const bucket = 'bench'
export const region = 'us-east-1'
/** Known to everybody: the server is on loopback, and lives as long as the benchmark. */
export const credentials = { accessKeyId: 'KEEPSAKEBENCH', secretAccessKey: 'only-on-loopback-for-a-minute' }
