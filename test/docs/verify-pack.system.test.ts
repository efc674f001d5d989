/** What docs/verify.md says on a pack and standard tools, run as it stands there: it leads to the verdicts that we come to. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { judgePack } from "@kedge/verify/pack/judge";
import { readPack } from "@kedge/verify/pack/read";
import { loggedBy } from "@kedge/verify/proof/verdict";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { smallPack, TAMPERINGS, tampered } from "../support/pack.ts";
import { codeOf } from "../support/readme.ts";

const has = (command: string, ...args: string[]): boolean => {
  const isThere = spawnSync(command, args).status === 0;
  if (!isThere) process.stderr.write(`skipped: no ${command} on the PATH\n`);
  return isThere;
};
const hasTools = [
  has("unzip", "-v"),
  has("python3", "-V"),
  has("openssl", "version"),
  has("sha256sum", "--version"),
];

const LISTED = "the files are those that are listed";

describe.skipIf(hasTools.includes(false))("with unzip, sha256sum, Python and OpenSSL", () => {
  let sh: string;
  let python: string;
  let zip: Uint8Array;
  const folders: string[] = [];
  beforeAll(async () => {
    const [unpack = ""] =
      /^unzip.*?^sha256sum EVIDENCE-SHA256$/ms.exec(await codeOf("docs/verify.md", "sh")) ?? [];
    sh = unpack;
    python = await codeOf("docs/verify.md", "python");
    zip = await smallPack();
  });
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true });
  });

  function follow(pack: Uint8Array) {
    const folder = mkdtempSync(join(tmpdir(), "kedge-tools-"));
    folders.push(folder);
    writeFileSync(join(folder, "pack.zip"), pack);
    writeFileSync(join(folder, "check.py"), python);
    const files = spawnSync("sh", ["-ec", sh], { cwd: folder, encoding: "utf8" });
    const rows = spawnSync("python3", ["../check.py"], { cwd: join(folder, "pack"), encoding: "utf8" });
    expect(rows.stderr).toBe("");
    return { files, code: rows.status, lines: rows.stdout.trimEnd().split("\n") };
  }

  test("a pack as it was made: its files are those that are listed, its rows unchanged, at the same time", async () => {
    const { files, code, lines } = follow(zip);
    const judged = await judgePack(await readPack(zip));
    expect(files.stdout).toBe(`${LISTED}\n${judged.evidence}  EVIDENCE-SHA256\n`);
    expect(code).toBe(0);
    expect(lines).toHaveLength(4);
    const [{ report } = {}] = judged.rows;
    const witnessed = report && loggedBy(report);
    expect(lines[0]).toContain(`Unchanged: at or before ${witnessed?.at.replace(".000Z", "+00:00")}`);
  });

  const OF_ROWS = TAMPERINGS.filter(
    ({ name, found }) => "rows" in found && name !== "two rows change places", // it finds a row wherever it stands
  );
  test.each(OF_ROWS)(
    "$name: the lists tell it, and where they fit each row has the verdict that we give",
    async (tampering) => {
      expect(follow(tampered(zip, tampering, "as they were")).files.stdout).not.toContain(LISTED);
      const changed = tampered(zip, tampering, "fit");
      const { files, lines } = follow(changed);
      expect(files.stdout).toContain(LISTED);
      const { rows } = await judgePack(await readPack(changed));
      const heads = {
        unchanged: "Unchanged",
        changed: "Changed, or never logged",
        untold: "Cannot tell yet",
      };
      const said = lines.map((line) => line.replace(/^Row \d+ {2}/, "").replace(/:.*/, ""));
      expect(said).toEqual(rows.map(({ verdict }) => heads[verdict]));
    },
  );
});
