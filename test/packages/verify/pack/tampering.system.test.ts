/** Whatever is changed in a pack shows; also where the lists of hashes were changed with it, as far as it follows from the rest. */
import { PackError } from "@kedge/verify/pack/error";
import { judgePack } from "@kedge/verify/pack/judge";
import type { JudgedPack } from "@kedge/verify/pack/pack";
import { readPack } from "@kedge/verify/pack/read";
import { beforeAll, describe, expect, test } from "vitest";
import { smallPack, stubReport, TAMPERINGS, tampered } from "../../../support/pack.ts";

let zip: Uint8Array;
beforeAll(async () => {
  zip = await smallPack();
});

async function judge(pack: Uint8Array): Promise<JudgedPack | { error: string }> {
  try {
    return await judgePack(await readPack(pack), { makeReport: stubReport });
  } catch (error) {
    if (error instanceof PackError) return { error: error.code };
    throw error;
  }
}

describe.each(TAMPERINGS)("$name", (tampering) => {
  test("shows by the lists of hashes", async () => {
    const judged = await judge(tampered(zip, tampering, "as they were"));
    expect("error" in judged ? judged.error : judged.verdict).toBe("changed");
  });

  test("shows though both lists were made to fit", async () => {
    const judged = await judge(tampered(zip, tampering, "fit"));
    const { found } = tampering;
    if ("error" in judged || "error" in found) {
      expect(judged).toEqual(found);
      return;
    }
    expect(judged.verdict).toBe(found.verdict);
    expect(judged.rows.map(({ verdict }) => verdict)).toEqual(
      found.rows ?? ["unchanged", "unchanged", "unchanged", "unchanged"],
    );
    expect(judged.files).toEqual(expect.arrayContaining([...(found.files ?? [])]));
  });
});
