/** Packs with timestamps of a real authority: its certificate comes with the pack, and it is said so, or is given. */
import { judgePack } from "@kedge/verify/pack/judge";
import { keysOfPolicy, readPack } from "@kedge/verify/pack/read";
import { parseExtra } from "@kedge/verify/proof/extra";
import { timestampRequest } from "@kedge/verify/time/rfc3161";
import { rfc3161 } from "@kedge/verify/time/timestampform";
import { parsePemCertificates } from "@kedge/verify/time/x509";
import { utf8Encode } from "@kedge/verify/tlog/bytes";
import { formatProof, parseProof } from "@kedge/verify/tlog/proof";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PACK_POLICY, smallPack, smallParts, stubReport } from "../../../support/pack.ts";
import { hasOpenssl, opensslTsa, type Tsa } from "../../../support/tsa.ts";

describe.skipIf(!hasOpenssl)("a pack with timestamps", () => {
  let tsa: Tsa;
  let root: string;
  let other: string;
  let zip: Uint8Array;
  beforeAll(async () => {
    tsa = opensslTsa();
    const [authority, another] = [tsa.root("p256"), tsa.root("p256")];
    [root, other] = [authority.pem, another.pem];
    const signer = tsa.issue(authority, "tsa");
    const parts = smallParts();
    const rows = [...parts.rows];
    const [{ proof = "" } = {}] = rows;
    const note = utf8Encode(
      parseProof(parseExtra(parseProof(proof).extra ?? new Uint8Array()).anchor ?? "").checkpoint,
      "",
    );
    const { der } = await timestampRequest(note);
    const stamp = rfc3161(tsa.token(tsa.reply(signer, der)));
    const stamped = rows.map((row) => {
      const parsed = parseProof(row.proof ?? "");
      const extra = parseExtra(parsed.extra ?? new Uint8Array());
      return {
        ...row,
        proof: formatProof({
          ...parsed,
          extra: utf8Encode(JSON.stringify({ ...extra, timestamps: [stamp] }), ""),
        }),
      };
    });
    zip = await smallPack({ ...parts, rows: stamped, authorities: [root] });
  });
  afterAll(() => tsa.close());

  test("is timestamped by the certificates that came with it, and it is said so", async () => {
    const judged = await judgePack(await readPack(zip), { makeReport: stubReport });
    expect(judged).toMatchObject({ verdict: "unchanged", files: [], authorities: "pack" });
    expect(judged.rows.map(({ report }) => report?.assurance)).toEqual(Array(4).fill("timestamped"));
    expect(Date.parse(judged.case.asOf)).toBe(Date.parse(judged.rows[0]?.report?.timestamps?.[0]?.at ?? ""));
  });

  test("is so by certificates that are given, and by those of another authority it is witnessed and no more", async () => {
    const pack = await readPack(zip);
    const trust = (pem: string) => ({
      timestamps: { tsaCerts: parsePemCertificates(pem), bitcoinBlocks: [] },
    });
    const given = await judgePack(pack, { ...trust(root), makeReport: stubReport });
    expect(given).toMatchObject({ verdict: "unchanged", files: [], authorities: "given", keys: "pack" });
    const without = await judgePack(pack, { ...trust(other), makeReport: stubReport });
    expect(without).toMatchObject({ verdict: "unchanged", files: [] });
    expect(without.rows.map(({ report }) => report?.assurance)).toEqual(Array(4).fill("witnessed"));
    const required = await judgePack(pack, { ...trust(other), demands: { require: "timestamped" } });
    expect(required.verdict).toBe("untold");
  });

  test("beside keys that are given, an authority that came with the pack dates nothing", async () => {
    const pack = await readPack(zip);
    const keys = keysOfPolicy(PACK_POLICY);
    const judged = await judgePack(pack, { keys, makeReport: stubReport });
    expect(judged).toMatchObject({ verdict: "unchanged", files: [], keys: "given", authorities: "none" });
    for (const { report } of judged.rows) {
      expect(report?.times.map(({ kind }) => kind)).not.toContain("authority");
      expect(report).toMatchObject({
        assurance: "witnessed",
        caveats: expect.arrayContaining([{ code: "timestamps_not_checked" }]),
      });
    }
    const required = await judgePack(pack, { keys, demands: { require: "timestamped" } });
    expect(required.verdict).toBe("untold");
    const timestamps = { tsaCerts: parsePemCertificates(root), bitcoinBlocks: [] };
    const given = await judgePack(pack, { keys, timestamps, makeReport: stubReport });
    expect(given.rows.map(({ report }) => report?.assurance)).toEqual(Array(4).fill("timestamped"));
  });
});
