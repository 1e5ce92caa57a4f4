export const credentials = { accessKeyId: 'BUCKETKEY', secretAccessKey: 'a-secret-of-the-tests' }
