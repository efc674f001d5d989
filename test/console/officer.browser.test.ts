/**
 * What docs/officer.md describes, done as it says: from the link that `npm start` prints to a pack that another browser verifies
 * offline. It makes the page's pictures: KEDGE_SCREENS=docs/pictures.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { utf8Encode } from "@kedge/verify/tlog/bytes";
import { formatVkey } from "@kedge/verify/tlog/note";
import { formatProof, parseProof } from "@kedge/verify/tlog/proof";
import { unzipSync } from "fflate";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasChromium, openChromium, PATIENCE } from "../support/browser.ts";
import { listAnew, unzipped, zipped } from "../support/pack.ts";
import { choose, headline, type Opened, openPage, paste } from "../support/page.ts";
import { logSigner } from "../support/proofs.ts";
import { screen } from "../support/screens.ts";
import { begin, counts } from "./case/case-page.ts";
import { type Console, startConsole, type Window } from "./service.ts";

const PATIENT = "syn-000071";
const VIEW = { viewport: { width: 1000, height: 640 } } as const;
const UNCHANGED = "Unchanged";
const CHANGED = "Changed, or never logged";
const UNTOLD = "Cannot tell yet";

describe.skipIf(!hasChromium)("the officer's work", () => {
  let kedge: Console;
  /** Of the other side: another browser, without a network. */
  let elsewhere: Browser;
  let officer: Window;
  let files: { events: string; records: string };
  let pack: Uint8Array;
  let verifier: Opened;
  /** As the tenant hands it out, by another way than the pack. */
  let policy: string;

  beforeAll(async () => {
    [kedge, elsewhere] = await Promise.all([startConsole(), openChromium()]);
    const demo = join(kedge.cwd, "data", "demo");
    files = {
      events: await readFile(join(demo, "hospital-day.ndjson"), "utf8"),
      records: await readFile(join(demo, "records.ndjson"), "utf8"),
    };
    const file = join(kedge.cwd, "policy.txt");
    const credentials = join(kedge.cwd, "data", "credentials.json");
    expect(await kedge.command("policy", "--credentials", credentials, "--out", file)).toMatchObject({
      code: 0,
    });
    policy = await readFile(file, "utf8");
    officer = await kedge.open(VIEW);
  });
  afterAll(async () => {
    await elsewhere?.close();
    await kedge?.close();
  });

  test("a suspicion of snooping: one patient's rows are proven, and handed over as one file", async () => {
    const { page } = officer;
    await page.goto(await kedge.startLink());
    await page.getByRole("rowheader").first().waitFor();
    await page.waitForLoadState("networkidle");
    await screen(page, "officer-logs", "view");

    await page.getByRole("link", { name: "Prove records" }).click();
    const sent: string[] = [];
    page.on("request", (request) => sent.push(`${request.url()} ${request.postData() ?? ""}`));
    await drop(page, { "hospital-day.ndjson": files.events, "records.ndjson": files.records });
    expect(await page.getByLabel("What hospital-day.ndjson is").inputValue()).toBe("events");
    expect(await page.getByLabel("What records.ndjson is").inputValue()).toBe("records");
    await see(page, "1. Log and files");
    await screen(page, "officer-files", "view");

    await begin(page);
    await proven(page, "500 of 500 rows: 500 unchanged");
    await page.getByLabel("Patient or MRN").fill(PATIENT);
    await proven(page, "9 of 500 rows: 9 unchanged, 0 changed or never logged, 0 cannot be told yet");
    await page.setViewportSize({ width: 1000, height: 480 });
    await see(page, "Same surname");
    await screen(page, "officer-rows", "view");
    await page.setViewportSize(VIEW.viewport);

    await page.locator(".case-grid").press("End");
    await page.locator(".case-grid").press("Enter");
    const row = page.getByRole("dialog");
    await row.locator(".case-event").waitFor();
    expect(await row.innerText()).toMatch(
      /Unchanged\s+This record is, byte for byte, what was logged at or before .*break the glass/s,
    );
    await screen(page, "officer-row", "view");
    await row.getByRole("button", { name: "Close" }).click();

    await page.getByLabel("Case number").fill("2026-17");
    await page.getByLabel("Requested by").fill("Human resources");
    await page.getByLabel("Reason").last().fill("A colleague of the patient's asked who opened her chart");
    await page.getByLabel("Prepared by").fill("Priya Raman");
    await see(page, "4. Hand over");
    await screen(page, "officer-hand-over", "view");
    const made = await download(page, "Make the evidence pack");
    pack = made.bytes;
    expect(made.name).toBe("access.zip");
    await page.locator(".case-made", { hasText: "access.zip was made: 9 rows." }).waitFor();
    // Of an event nothing was sent: neither what it says nor what the filter or the form says.
    for (const one of sent) {
      expect(one).not.toMatch(/AuditEvent|Practitioner|syn-0|Human resources|Priya|2026-17/);
    }
  });

  test("another browser, offline, opens the verifier page that is in the pack: it is unchanged", async () => {
    const folder = join(kedge.cwd, "the other side");
    for (const [name, bytes] of Object.entries(unzipSync(pack))) {
      await mkdir(join(folder, name, ".."), { recursive: true });
      await writeFile(join(folder, name), bytes);
    }
    const url = pathToFileURL(join(folder, "verify.html")).href;
    verifier = await openPage(elsewhere, { url, offline: true, ...VIEW });
    const { page } = verifier;
    await check(page, pack);
    expect(await headline(page)).toBe(UNCHANGED);
    expect(await page.innerText("main")).toContain("Keys in use, from the pack itself");
    await screen(page, "officer-verifier", "view");
    await paste(page, policy);
    expect(await headline(page)).toBe(UNCHANGED);
    expect(await page.innerText("main")).toContain("Keys in use, given by you");
  });

  const tamperings: Record<string, (files: Files) => void> = {
    "a letter of an event": edit("events/lines.ndjson", (text) =>
      text.replace("break the glass", "break the gloss"),
    ),
    "a hash of a proof": editProof((text) => flip(text, /(?<=\nindex \d+\n)./)),
    "a checkpoint that a proof rests on": editProof((text) =>
      flip(text, /(?<=\n\nlocalhost\/log\/[a-z0-9]+\n\d+\n)./),
    ),
    "an opening": editProof((text) => {
      const { extra, ...proof } = parseProof(text);
      const value = JSON.parse(new TextDecoder().decode(extra));
      value.opening.sequence = "1";
      return formatProof({ ...proof, extra: utf8Encode(JSON.stringify(value), "") });
    }),
    "a checkpoint that lies beside the proofs": (all) => {
      const name = [...all.keys()].find((file) => file.startsWith("checkpoints/log-")) ?? "";
      edit(name, (text) => text.replace(/\n500\n/, "\n501\n"))(all);
    },
    "the key of the log": edit("policy.txt", otherKey),
    "a row that was taken out": edit("rows.ndjson", (text) => text.replace(/^.*"line":9}\n/m, "")),
    "a row that was taken out, with its event and its proof": (all) => {
      for (const name of ["rows.ndjson", "proofs.ndjson", "events/lines.ndjson"]) {
        edit(name, (text) => text.replace(/[^\n]*\n$/, ""))(all);
      }
    },
    "the table of the report": edit("report.csv", (text) => text.replace("break the glass", "treatment")),
  };

  test.each(Object.entries(tamperings))(
    "another browser catches it: %s, and the lists of hashes are made to fit",
    async (name, change) => {
      const changed = unzipped(pack);
      change(changed);
      listAnew(changed);
      const { page } = verifier;
      await check(page, zipped(changed));
      expect(await headline(page)).toBe(CHANGED);
      if (name === "a letter of an event") {
        await see(page, "Check records");
        await screen(page, "officer-changed", "view");
      }
      await paste(page, policy);
      expect(await headline(page)).toBe(CHANGED);
    },
  );

  test("another browser catches a report that was changed, for it is not as it was packed", async () => {
    const changed = unzipped(pack);
    edit("report.pdf", (text) => `${text}% changed\n`)(changed);
    const { page } = verifier;
    await check(page, zipped(changed));
    expect(await headline(page)).toBe(CHANGED);
    expect(await page.innerText("main")).toMatch(/report\.pdf\s+was changed after the pack was made/);
  });

  test("with keys of another log it cannot tell", async () => {
    const { page } = verifier;
    await check(page, pack);
    await paste(page, otherKey(policy));
    expect(await headline(page)).toBe(UNTOLD);
    expect([verifier.requests, verifier.problems]).toEqual([[page.url()], []]);
    await verifier.close();
  });

  test("a page for the patient, and an export that is reconciled", async () => {
    const { page } = officer;
    await page.getByLabel("Patient or MRN").fill(PATIENT);
    await proven(page, "9 of 500");
    const { name, bytes } = await download(page, "Page for the patient");
    const file = join(kedge.cwd, name);
    await writeFile(file, bytes);
    const patient = await openPage(elsewhere, { url: pathToFileURL(file).href, offline: true, ...VIEW });
    expect(await patient.page.innerText("main")).toContain("Synthetic physician 0020");
    await screen(patient.page, "officer-patient", "view");
    await patient.close();
    await page.getByRole("button", { name: "Reconcile", exact: true }).click();
    await page.getByText("Every row is unchanged, and no record is without its row.").waitFor();
  });

  test("what was changed in an export, and what was left out of it, is found", async () => {
    const { page, context, wrong } = await kedge.signedIn(VIEW);
    await page.getByRole("link", { name: "Prove records" }).click();
    const [first = "", ...others] = files.events.split("\n");
    const altered = [
      first.replace("Synthetic", "Invented"),
      ...others.filter((line) => !line.includes("BTG")),
    ];
    expect(altered[0]).not.toBe(first);
    await drop(page, { "hospital-day.ndjson": altered.join("\n"), "records.ndjson": files.records });
    await begin(page);
    await proven(page, "499 of 499 rows: 498 unchanged, 1 changed");
    await page.getByRole("button", { name: "Reconcile", exact: true }).click();
    await page.getByText("1 row changed after it was logged").waitFor();
    await page.getByText("1 record without a row: left out of the export").waitFor();
    await context.close();
    expect(wrong).toEqual([]);
  });

  test("a break-the-glass review is signed off, and stands in the reviews", async () => {
    const { page } = officer;
    await page.getByRole("button", { name: "Clear the filters" }).click();
    await page.getByLabel("Break-the-glass only").check();
    await proven(page, "1 of 500 rows: 1 unchanged");
    await page.getByLabel("Reviewed by").fill("Priya Raman");
    await see(page, "5. Sign off a review");
    expect((await download(page, "Sign off and download")).name).toMatch(/^review-.*\.zip$/);
    await page.locator(".case-made", { hasText: "Signed off: 1 row." }).waitFor();
    // What was handed out of other rows is not told beside these.
    expect(await page.locator(".case-made").allTextContents()).toEqual([
      expect.stringMatching(/^Signed off/),
    ]);
    // The log of reviews is there to be chosen at once, and what was done on the page is still there.
    const choice = page.getByLabel("Log", { exact: true });
    await choice.getByRole("option", { name: "What was signed off" }).waitFor({ state: "attached" });
    expect(await choice.locator("option:checked").textContent()).toBe("audit");
    expect(await counts(page)).toContain("1 of 500 rows: 1 unchanged");
    await page.getByRole("link", { name: "Reviews" }).click();
    await page.getByRole("row", { name: /break-the-glass/i }).waitFor();
    await screen(page, "officer-reviews", "view");
  });

  test("an auditor outside gets a viewer link", async () => {
    const { page, context, wrong } = officer;
    await page.getByRole("link", { name: "Viewer links" }).click();
    await page.getByLabel("For whom").fill("Brandt, external audit");
    await page.getByRole("button", { name: "Make the link" }).click();
    const link = await page.getByRole("textbox", { name: "Viewer link" }).inputValue();
    expect(link).toContain("#link=");
    await page.getByRole("button", { name: "I have copied it" }).click();
    await page.getByRole("row", { name: /Brandt/ }).waitFor();
    await screen(page, "officer-links", "view");
    await context.close();
    expect(wrong).toEqual([]);
  });
});

type Files = Map<string, Uint8Array>;

/** As bytes: what is no text stays as it is. */
function edit(name: string, change: (text: string) => string) {
  return (files: Files): void => {
    const before = Buffer.from(files.get(name) ?? "").toString("latin1");
    const after = change(before);
    if (after === before) throw new TypeError(`${name} is as it was`);
    files.set(name, Buffer.from(after, "latin1"));
  };
}

/** Of the last row: the break-the-glass access. */
function editProof(change: (proof: string) => string) {
  return edit("proofs.ndjson", (text) => {
    const lines = Buffer.from(text, "latin1").toString().trimEnd().split("\n");
    const { commitment, proof } = JSON.parse(lines.pop() ?? "");
    lines.push(JSON.stringify({ commitment, proof: change(proof) }), "");
    return Buffer.from(lines.join("\n")).toString("latin1");
  });
}

/** A policy with another key of the log by the same name. */
function otherKey(text: string): string {
  const of = /(?<=^log )(\S+\/log\/[a-z0-9]+)\+\S+/m;
  return text.replace(of, (_, name) => formatVkey(logSigner(name, 99).vkey));
}

/** Another digit of base64 in place of the first. */
const flip = (text: string, digit: RegExp) => text.replace(digit, (found) => (found === "A" ? "B" : "A"));

/** The pack alone, without what was given before. */
async function check(page: Page, bytes: Uint8Array): Promise<void> {
  await page.fill("#paste", "");
  const clear = page.getByRole("button", { name: "Remove access.zip" });
  if ((await clear.count()) > 0) await clear.click();
  await expect.poll(() => page.locator(".given li").count()).toBe(0);
  await choose(page, [{ name: "access.zip", bytes }]);
}

const proven = (page: Page, text: string) =>
  expect.poll(() => counts(page), { timeout: PATIENCE }).toContain(text);

/** So that this stands at the top of what is in sight. */
async function see(page: Page, text: string): Promise<void> {
  const at = page.getByText(text, { exact: true });
  await at.evaluate((element) => element.scrollIntoView());
}

async function download(page: Page, button: string): Promise<{ name: string; bytes: Uint8Array }> {
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: button }).click(),
  ]);
  return { name: file.suggestedFilename(), bytes: new Uint8Array(await readFile(await file.path())) };
}

/** As from a folder: into the field that says so. */
async function drop(page: Page, files: Readonly<Record<string, string>>): Promise<void> {
  const dataTransfer = await page.evaluateHandle(`(() => {
    const dropped = new DataTransfer();
    for (const [name, text] of Object.entries(${JSON.stringify(files)})) dropped.items.add(new File([text], name));
    return dropped;
  })()`);
  await page.locator(".case-drop").dispatchEvent("drop", { dataTransfer });
  await page.getByRole("list", { name: "Files given" }).getByRole("listitem").nth(1).waitFor();
}
