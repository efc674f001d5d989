/** What is made in the browser is reported by kind and count before it is handed out; nothing of an event is in that. */
import type { PageProps } from "../context.ts";
import type { Made } from "./messages.ts";

type Kind = Parameters<PageProps["people"]["reportExport"]>[0]["kind"];

/**
 * Makes a file, reports it, saves it. Without a log the officer works offline, and there is nobody to report to. Throws what
 * `make` and the report throw: what was not reported is not handed out.
 */
export async function handOut(
  { people, asking, save }: PageProps,
  { kind, log }: { kind: Kind; log: string },
  make: () => Promise<Made | undefined>,
): Promise<Made | undefined> {
  const made = await make();
  if (made === undefined) return undefined;
  const { name, bytes, type, count, digest } = made;
  if (log !== "") {
    await asking(() => people.reportExport({ kind, log, count, ...(digest !== undefined && { digest }) }));
  }
  save(name, bytes, type);
  return made;
}
