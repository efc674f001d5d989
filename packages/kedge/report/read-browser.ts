/** Reads a file that lies beside the code: from the page's own origin. */

export async function readBeside(url: URL): Promise<Uint8Array> {
  const response = await fetch(url);
  if (!response.ok)
    throw new Error(`A font of the report could not be loaded (${response.status}). Try again.`);
  return new Uint8Array(await response.arrayBuffer());
}
