/** A page with a file input and a progress bar for each upload, driven by a test: see ../lab.ts. */
import { type Client, createClient, KeepsakeClientError, type Upload } from '../../../src/client/index.ts'
import type { Lab, Outcome } from '../lab.ts'

type Running = { readonly upload: Upload; readonly outcome: Promise<Outcome>; readonly reported: number[] }

let client: Client | undefined
const running = new Map<string, Running>()

function connected(): Client {
  if (client) return client
  throw new Error('The page is not connected.')
}

function named(name: string): Running {
  const found = running.get(name)
  if (found) return found
  throw new Error(`There is no upload ${name} in this page.`)
}

function chosenFile(): File {
  const file = document.querySelector<HTMLInputElement>('input[type=file]')?.files?.[0]
  if (file) return file
  throw new Error('No file is chosen.')
}

/** One line a file, as an app would show it. */
function showBar(name: string, file: File) {
  const line = document.createElement('p')
  const bar = document.createElement('progress')
  const label = document.createElement('span')
  line.append(`${name}: ${file.name} `, bar, label)
  document.body.append(line)
  return (loaded: number, total: number) => {
    bar.max = total
    bar.value = loaded
    label.textContent = ` ${Math.floor((loaded / total) * 100)} %`
  }
}

const lab: Lab = {
  connect: (options) => {
    client = createClient(options)
  },
  upload(name, options) {
    const file = chosenFile()
    const reported: number[] = []
    const show = showBar(name, file)
    const upload = connected().upload(file, {
      ...options,
      onProgress: ({ loaded, total }) => {
        reported.push(loaded)
        show(loaded, total)
      },
    })
    const outcome = upload.then(
      (asset): Outcome => ({ asset }),
      (error: unknown): Outcome => {
        if (error instanceof KeepsakeClientError) {
          const { code, status, detail } = error
          return { error: { name: error.name, code, status, detail } }
        }
        return { error: { name: error instanceof Error ? error.name : String(error) } }
      },
    )
    running.set(name, { upload, outcome, reported })
  },
  pause: (name) => named(name).upload.pause(),
  resume: (name) => named(name).upload.resume(),
  abort: (name) => named(name).upload.abort(),
  progress: (name) => named(name).reported,
  outcome: (name) => named(name).outcome,
  async open(id) {
    const response = await fetch(await connected().url(id))
    return { status: response.status, size: (await response.blob()).size }
  },
}

Object.assign(globalThis, { lab })
