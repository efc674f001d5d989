import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeBase64 } from "@kedge/verify/tlog/bytes";
import { verifyInclusion } from "@kedge/verify/tlog/merkle";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { verdict } from "./reference.ts";

// Inclusion-proof vectors of transparency-dev/merkle, kept outside the repository. Run with
// KEDGE_RFC6962_VECTORS=../shared/data/rfc6962 npx vitest run test/tlog/rfc6962-vectors.test.ts
const folder = process.env["KEDGE_RFC6962_VECTORS"];
if (folder === undefined) {
  console.warn("rfc6962-vectors: skipped, KEDGE_RFC6962_VECTORS does not name a folder of vectors");
}

const integer = z.string().regex(/^\d+$/).transform(BigInt);
const hash = z.string().transform((text) => decodeBase64(text, "A vector's hash"));
const Vector = z.object({
  leafIdx: integer,
  treeSize: integer,
  root: hash,
  leafHash: hash,
  proof: z.array(hash).nullable(),
  desc: z.string(),
  wantErr: z.boolean(),
});

/** Quotes integers before parsing: as JSON numbers, those beyond 2^53 would be rounded. */
function readVector(path: string) {
  const text = readFileSync(path, "utf8").replace(/("(?:leafIdx|treeSize)":\s*)(\d+)/g, '$1"$2"');
  return Vector.parse(JSON.parse(text));
}

const files =
  folder === undefined
    ? []
    : readdirSync(join(folder, "inclusion"), { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".json"))
        .map((name) => join(folder, "inclusion", name));

describe.skipIf(folder === undefined)("published RFC 6962 vectors", () => {
  test("there are 98 of them", () => {
    expect(files).toHaveLength(98);
  });

  test.each(files)("%s has the expected verdict", (path) => {
    const { leafIdx, treeSize, root, leafHash, proof, wantErr } = readVector(path);
    const result = verdict(() =>
      verifyInclusion({ leafHash, index: leafIdx, size: treeSize, root, proof: proof ?? [] }),
    );
    expect(result !== "accepted").toBe(wantErr);
  });
});
