import { createHash } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { lstat, mkdir } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { KeepsakeError } from '../media/index.ts'

/** `sun_path` has 108 bytes on Linux and 104 on macOS, the ending NUL included (unix(7)). */
const longest = 100

/**
 * Where the holder of a data folder serves its API for the command line: `keepsake.sock` in the folder, or, where that
 * is too long for a socket, a name made from the folder's real path in a private folder among the temporary files.
 */
export function socketPath(dir: string): string {
  const real = realPath(dir)
  const inside = join(real, 'keepsake.sock')
  if (Buffer.byteLength(inside) <= longest) return inside
  const name = createHash('sha256').update(real).digest('hex').slice(0, 32)
  return join(tmpdir(), `keepsake-${userInfo().uid}`, `${name}.sock`)
}

/** Makes sure that a socket's folder is there and private: in /tmp somebody else could have made it first. */
export async function prepareSocketFolder(socket: string): Promise<void> {
  const folder = dirname(socket)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const found = await lstat(folder)
  const foreign = process.getuid !== undefined && found.uid !== process.getuid()
  if (!found.isDirectory() || foreign || (process.getuid !== undefined && (found.mode & 0o077) !== 0)) {
    throw new KeepsakeError(
      'invalid_setting',
      `The folder ${folder}, for the socket of the command line, is not private to this user. ` +
        'Remove it, or choose a shorter path for KEEPSAKE_DATA_DIR.',
    )
  }
}

function realPath(dir: string): string {
  try {
    return realpathSync(dir)
  } catch {
    return resolve(dir)
  }
}
