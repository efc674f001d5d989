/** A source of kind `files` that follows <folder>/ehr.ndjson into the journal <folder>/data, until it is told to end. */
import { join } from "node:path";
import { filesSchema, openFiles } from "@kedge/cli/agent/files";
import { openJournal } from "@kedge/cli/journal/journal";

const [folder = ""] = process.argv.slice(2);
const key = { epoch: 0, tenantKey: new Uint8Array(32).fill(7) };
const keys = { current: () => key, of: (epoch) => (epoch === 0 ? key : undefined) };
const journal = await openJournal({ folder: join(folder, "data"), keys });
const stop = new AbortController();
process.on("SIGTERM", () => stop.abort());
const source = openFiles(
  filesSchema.parse({ kind: "files", name: "ehr", path: join(folder, "ehr.ndjson"), poll: 0.05 }),
  {
    intake: await journal.intake("ehr"),
    signal: stop.signal,
    trouble: (trouble, what) => what !== undefined && console.error(trouble, what),
    count: () => undefined,
  },
);
await source.run();
await journal.close();
