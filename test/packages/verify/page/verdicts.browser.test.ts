/** The page says of every case what the verifier says of it, and of every tampering of a pack what the judge says. */
import { PackError } from "@kedge/verify/pack/error";
import { judgePack } from "@kedge/verify/pack/judge";
import { factsOf } from "@kedge/verify/pack/pack";
import { readPack } from "@kedge/verify/pack/read";
import { formatProofFile, parseProofFile } from "@kedge/verify/proof/extra";
import { tellVerdict, VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import { displayHash, formatOts } from "@kedge/verify/time/ots";
import { timestampRequest } from "@kedge/verify/time/rfc3161";
import { ots, rfc3161 } from "@kedge/verify/time/timestampform";
import { parseProof } from "@kedge/verify/tlog/proof";
import { sha256 } from "@noble/hashes/sha2.js";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasChromium, openChromium } from "../../../support/browser.ts";
import {
  listAnew,
  PACK_POLICY,
  smallPack,
  smallParts,
  TAMPERINGS,
  tampered,
  unzipped,
  zipped,
} from "../../../support/pack.ts";
import { checked, choose, headline, openPage, paste } from "../../../support/page.ts";
import { anchor, anchorMldsa, EVENT, makeProof, witness1, witness2 } from "../../../support/proofs.ts";
import { hasOpenssl, opensslTsa } from "../../../support/tsa.ts";
import { VERIFY_CASES } from "../../../support/verify-cases.ts";

describe.skipIf(!hasChromium)("the verifier page", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openChromium();
  });
  afterAll(async () => await browser?.close());

  test("the verdict of every case of the verifier's tests", async () => {
    const { page, problems, close } = await openPage(browser);
    const said: [string, string][] = [];
    for (const { name, event, proof, keys, opening } of VERIFY_CASES) {
      await clear(page);
      await paste(page, keys);
      await choose(page, [
        { name: "event.json", bytes: event },
        { name: "event.json.tlog-proof", bytes: proof },
        ...(opening === undefined ? [] : [{ name: "opening.json", bytes: opening }]),
      ]);
      said.push([name, await headline(page)]);
    }
    expect(said).toEqual(
      VERIFY_CASES.map(({ name, verdict }) => [name, VERDICT_WORDS.en.headlines[verdict]]),
    );
    expect(problems).toEqual([]);
    await close();
  });

  test.each(["fit", "as they were"] as const)(
    "the verdict on every tampering of a pack, its lists of hashes %s",
    async (lists) => {
      const { page, problems, close } = await openPage(browser);
      const zip = await smallPack();
      const said: Said[] = [];
      const judged: Said[] = [];
      for (const tampering of TAMPERINGS) {
        const bytes = tampered(zip, tampering, lists);
        await clear(page);
        await choose(page, [{ name: "pack.zip", bytes }]);
        said.push({ name: tampering.name, ...(await readPage(page)) });
        judged.push({ name: tampering.name, ...(await judge(bytes)) });
      }
      expect(said).toEqual(judged);
      expect(problems).toEqual([]);
      await close();
    },
  );

  test("a pack says what was looked for, and that its case is the word of who made it", async () => {
    const { page, problems, close } = await openPage(browser);
    const parts = smallParts();
    const filter = {
      ...{ from: "2026-03-01T00:00:00.000Z", patient: "MRN-7", breakTheGlass: true as const },
      afterHours: { from: "18:00", to: "07:00" },
    };
    const headers = [{ separator: ",", header: ["WHO", "WHOSE"] }];
    const bytes = await smallPack({ ...parts, rows: [], case: { ...parts.case, filter, headers } });
    await choose(page, [{ name: "pack.zip", bytes }]);
    await headline(page);
    const about = await page.innerText("section.pack");
    expect(about).toMatch(
      /from 1 March 2026, 00:00 UTC; patient MRN-7; break-the-glass only; after hours 18:00–07:00/,
    );
    expect(about).toContain("The case is the word of who made the pack");
    expect(about).toContain(VERDICT_WORDS.en.columnsNotShown);
    await clear(page);
    await choose(page, [{ name: "pack.zip", bytes: await smallPack() }]);
    await headline(page);
    const other = await page.innerText("section.pack");
    expect(other).toContain("every event");
    expect(other).not.toContain(VERDICT_WORDS.en.columnsNotShown);
    expect(problems).toEqual([]);
    await close();
  });

  test("of a pack, which records it did not look for, and whose local times are others by the browser, is said", async () => {
    const { page, problems, close } = await openPage(browser);
    const zip = await smallPack();
    const said = async (from: string, to: string): Promise<string[]> => {
      const files = unzipped(zip);
      const about = new TextDecoder().decode(files.get("case.json"));
      files.set("case.json", new TextEncoder().encode(about.replace(from, to)));
      listAnew(files);
      await clear(page);
      await choose(page, [{ name: "pack.zip", bytes: zipped(files) }]);
      return [await headline(page), await page.innerText("section[aria-labelledby=packfiles]")];
    };
    expect(await said('"filter": {}', '"filter": {\n    "user": "Ines Beispiel"\n  }')).toEqual([
      "Changed, or never logged",
      expect.stringMatching(
        /case\.json[\s\S]*Not what the pack says was looked for: 2 records \(no\. 2, 4\)\.(?![\s\S]*Local times)/,
      ),
    ]);
    expect(await said("Europe/Berlin", "Asia/Kathmandu")).toEqual([
      "Unchanged",
      expect.stringMatching(/agrees[\s\S]*For 4 records this browser has another offset of Asia\/Kathmandu:/),
    ]);
    expect(await said("Europe/Berlin", "Mars/Olympus")).toEqual([
      "Unchanged",
      expect.stringMatching(
        /agrees[\s\S]*this browser does not know Mars\/Olympus, and could not compare them/,
      ),
    ]);
    expect(problems).toEqual([]);
    await close();
  });

  test.skipIf(!hasOpenssl)("a timestamp counts once its authority's certificate is given", async () => {
    const tsa = opensslTsa();
    const root = tsa.root();
    const signer = tsa.issue(root, "tsa");
    const { proof } = makeProof({ anchorSigners: [anchor, anchorMldsa, witness1, witness2] });
    const { proof: outer, extra } = parseProofFile(proof);
    const note = parseProof(extra.anchor ?? "").checkpoint;
    const { der } = await timestampRequest(new TextEncoder().encode(note));
    const timestamps = [rfc3161(tsa.token(tsa.reply(signer, der)))];
    const stamped = formatProofFile({ proof: outer, extra: { ...extra, timestamps } });
    const { page, close } = await openPage(browser);
    await choose(page, [
      { name: "event.json", bytes: EVENT.bytes },
      { name: "event.json.tlog-proof", bytes: stamped },
      { name: "policy.txt", bytes: PACK_POLICY },
    ]);
    const step = () => page.innerText(".steps li >> nth=3");
    expect(await step()).toMatch(/Timestamped from outside: not shown/);
    await choose(page, [{ name: "root.pem", bytes: root.pem }]);
    expect(await step()).toMatch(/Timestamped from outside: shown/);
    expect(await headline(page)).toBe("Unchanged");

    // A check that another has overtaken says nothing any more: here it waits for a hash, and never pauses.
    await page.evaluate(`
      performance.now = () => 0;
      const { digest } = SubtleCrypto.prototype;
      const held = new Promise((release) => (window.release = release));
      window.asked = new Promise((ask) => {
        SubtleCrypto.prototype.digest = async function (...given) {
          ask();
          await held;
          return await digest.apply(this, given);
        };
      });
      undefined;
    `);
    await page.fill("#paste", "# anew");
    await page.evaluate("window.asked");
    await page.fill("#paste", "nonsense");
    await checked(page);
    await page.evaluate("window.release()");
    await checked(page);
    expect(await headline(page)).toBe("Cannot tell yet");
    await close();
    tsa.close();
  });

  test("an OpenTimestamps proof counts once its Bitcoin block is given", async () => {
    const { proof } = makeProof({ anchorSigners: [anchor, anchorMldsa, witness1, witness2] });
    const { proof: outer, extra } = parseProofFile(proof);
    const note = sha256(new TextEncoder().encode(parseProof(extra.anchor ?? "").checkpoint));
    const tree = { attestations: [{ kind: "bitcoin", height: 358_391 }], branches: [] } as const;
    const timestamps = [ots(formatOts({ hash: note, tree }))];
    const { page, close } = await openPage(browser);
    await choose(page, [
      { name: "event.json", bytes: EVENT.bytes },
      {
        name: "event.json.tlog-proof",
        bytes: formatProofFile({ proof: outer, extra: { ...extra, timestamps } }),
      },
      { name: "policy.txt", bytes: PACK_POLICY },
    ]);
    const step = () => page.innerText(".steps li >> nth=3");
    expect(await step()).toMatch(/Timestamped from outside: not shown/);
    await paste(page, `358391:${"0f".repeat(32)}`);
    expect(await step()).toMatch(/Timestamped from outside: not shown/);
    await paste(page, `358391:${displayHash(note)}`);
    expect(await step()).toMatch(/Timestamped from outside: shown/);
    expect(await headline(page)).toBe("Unchanged");
    await close();
  });
});

type Said = { name: string; headline: string; rows: string[] };

/** Without files and keys, as it was opened. */
async function clear(page: Page): Promise<void> {
  await paste(page, "");
  const remove = page.locator(".given button");
  while ((await remove.count()) > 0) await remove.first().click();
}

async function readPage(page: Page): Promise<Omit<Said, "name">> {
  return { headline: await headline(page), rows: await page.locator("tbody .badge").allInnerTexts() };
}

/** As the command judges it. A pack that cannot be read has no rows. */
async function judge(zip: Uint8Array): Promise<Omit<Said, "name">> {
  const { headlines } = VERDICT_WORDS.en;
  try {
    const judged = await judgePack(await readPack(zip));
    const rows = judged.rows.map((row) => tellVerdict(factsOf(judged, row), VERDICT_WORDS.en).headline);
    return { headline: headlines[judged.verdict], rows };
  } catch (error) {
    if (!(error instanceof PackError)) throw error;
    return { headline: headlines[error.code === "changed" ? "changed" : "untold"], rows: [] };
  }
}
