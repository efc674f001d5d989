import { afterAll, describe, test } from "vitest";
import { checkpoints } from "./checkpoints.ts";
import { buildGo } from "./go.ts";
import { merkle } from "./merkle.ts";
import { notes } from "./notes.ts";
import { proofs } from "./proofs.ts";
import { tiles } from "./tiles.ts";

// Both ways against golang.org/x/mod/sumdb (note, tlog) and github.com/transparency-dev/formats (log, note, proof).
// One test file, so that the Go program is built once.
const built = await buildGo();

if ("missing" in built) {
  console.log(`skipped: interoperability with the Go libraries: ${built.missing}`);
  test.skip(`interoperability with the Go libraries: ${built.missing}`);
} else {
  afterAll(built.remove);
  describe("notes", () => notes(built.go));
  describe("checkpoints and cosignatures", () => checkpoints(built.go));
  describe("tiles and bundles", () => tiles(built.go));
  describe("Merkle proofs", () => merkle(built.go));
  describe("tlog-proofs", () => proofs(built.go));
}
