/**
 * The version of this package, as package.json has it (test/version.test.ts). Written down, not read from there: an app's
 * bundler, Next's for one, takes these files away from beside that one.
 */
export const version = '0.1.0'
