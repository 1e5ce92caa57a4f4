export { type DataFolder, type DataFolderOptions, openDataFolder, type SecretOptions } from './data-folder.ts'
export { findHolder, type Holder } from './holder.ts'
export { preferredPort } from './preferred-port.ts'
export { socketPath } from './socket-path.ts'
