/** The files of what is dropped, folders with all that is in them (File and Directory Entries API). */

/** Files: more is a folder that nobody meant. */
export const MAX_DROPPED = 10_000;

export class TooManyFiles extends Error {
  override readonly name = "TooManyFiles";
}

/** What is dropped is taken before this returns. A name that is there twice has its path before it. Throws TooManyFiles. */
export function droppedFiles({ items, files }: DataTransfer): Promise<File[]> {
  const entries = [...items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  return entries.length === 0 ? Promise.resolve([...files]) : filesOf(entries);
}

async function filesOf(entries: readonly FileSystemEntry[]): Promise<File[]> {
  const found: File[] = [];
  const names = new Set<string>();
  const left = [...entries];
  for (let entry = left.shift(); entry !== undefined; entry = left.shift()) {
    if (isFolder(entry)) left.push(...(await childrenOf(entry)));
    else if (isFile(entry)) {
      const file = await fileOf(entry);
      const path = entry.fullPath.replace(/^\//, "");
      found.push(names.has(file.name) ? new File([file], path, { type: file.type }) : file);
      names.add(file.name);
    }
    if (found.length + left.length > MAX_DROPPED) throw new TooManyFiles();
  }
  return found;
}

const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory;
const isFile = (entry: FileSystemEntry): entry is FileSystemFileEntry => entry.isFile;

const fileOf = (entry: FileSystemFileEntry): Promise<File> =>
  new Promise((resolve, reject) => entry.file(resolve, reject));

/** A reader gives some of them at a time, and none once it has given all. */
async function childrenOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const children: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return children.sort((a, b) => (a.name < b.name ? -1 : 1));
    children.push(...some);
  }
}
