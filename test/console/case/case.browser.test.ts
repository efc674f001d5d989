/** The officer's case in Chromium: from a dropped export to a pack that others verify, with nothing of an event sent. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { sealAnew } from "@kedge/cli/keys/keyring";
import axe from "axe-core";
import { unzipSync, zipSync } from "fflate";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { hasChromium, openChromium, PATIENCE } from "../../support/browser.ts";
import { EPIC_HEADER, epicRow } from "../../support/epic-rows.ts";
import { screen } from "../../support/screens.ts";
import { begin, counts, give, openCasePage } from "./case-page.ts";
import { type CaseService, commitLines, openCaseService } from "./case-service.ts";

const ROWS = 2_500;
const FILE = "access-log.csv";
const ALL = `2,500 of 2,500 rows: 2,500 unchanged`;

let service: CaseService;
let browser: Browser;
let rows: string[];
let records: string;
let pages: Page[] = [];

beforeAll(async () => {
  if (!hasChromium) return;
  [service, browser] = await Promise.all([openCaseService(), openChromium()]);
  rows = Array.from({ length: ROWS }, (_, i) => epicRow(i));
  const lines = rows.map((text, i) => ({ line: i + 2, text }));
  const made = commitLines(FILE, lines, "text/csv");
  records = made.records;
  const client = service.client();
  await client.post(service.log, made.commitments);
  const options = { to: "anchored", patience: 120_000 } as const;
  for await (const _ of client.follow(service.log, made.commitments, options));
});
afterEach(async () => {
  service?.refuse(undefined);
  for (const page of pages) await page.context().close();
  pages = [];
});
afterAll(async () => {
  await browser?.close();
  await service?.close();
});

const csv = (of: readonly string[] = rows) => [EPIC_HEADER, ...of, ""].join("\r\n");

async function open(
  ...options: Parameters<typeof openCasePage> extends [unknown, unknown, ...infer Rest] ? Rest : never
) {
  const page = await openCasePage(browser, service, ...options);
  pages.push(page);
  return page;
}

async function proven(page: Page, files: Record<string, string> = {}): Promise<Page> {
  await give(page, { [FILE]: csv(), "records.ndjson": records, ...files });
  await begin(page);
  await expect.poll(() => counts(page), { timeout: 90_000 }).toContain(ALL);
  return page;
}

async function download(page: Page, act: () => Promise<void>): Promise<{ name: string; bytes: Uint8Array }> {
  const [file] = await Promise.all([page.waitForEvent("download", { timeout: 120_000 }), act()]);
  return { name: file.suggestedFilename(), bytes: new Uint8Array(await readFile(await file.path())) };
}

/** What the verifier page that is in the pack says of it, in a profile of its own that has no network. */
async function verdictOf(pack: Uint8Array): Promise<string> {
  const verifier = join(service.folder, "verify.html");
  await writeFile(verifier, unzipSync(pack)["verify.html"] ?? "");
  const context = await browser.newContext({ offline: true });
  try {
    const page = await context.newPage();
    await page.goto(pathToFileURL(verifier).href);
    const buffer = Buffer.from(pack);
    await page.locator("#choose").setInputFiles({ name: "pack.zip", mimeType: "application/zip", buffer });
    return (await page.locator("#verdict").textContent({ timeout: PATIENCE })) ?? "";
  } finally {
    await context.close();
  }
}

/** What of these has more in it than is seen. */
const clipped = (page: Page, of: string) =>
  page.evaluate(`[...document.querySelectorAll(${JSON.stringify(of)})]
    .filter((it) => it.scrollHeight > it.clientHeight + 1 || it.scrollWidth > it.clientWidth + 1)
    .map((it) => it.className + ": " + it.textContent)`);

describe.skipIf(!hasChromium)("a case in Chromium", () => {
  test("rows are proven, and of an event nothing is sent", async () => {
    const page = await open();
    service.sent.length = 0;
    await proven(page);
    const posted = service.sent.filter(({ method }) => method !== "GET");
    expect(new Set(posted.map(({ url }) => url))).toEqual(new Set([`/v1/logs/${service.log}/proofs`]));
    for (const { url, body } of service.sent) {
      // A patient's number may stand within the hex digits of a commitment by chance.
      expect(`${url}${body}`).not.toMatch(/WS-\d|login\d|Ashdown|Ward|(?<![\da-f])1000\d{3}(?![\da-f])/);
    }
    await page.locator("text=the keys that the service itself gave").waitFor();
  });

  test("a snooping case: one patient's rows, in a pack that a second profile verifies offline", async () => {
    const page = await proven(await open());
    await page.getByLabel("Patient or MRN").fill("1000097");
    await expect.poll(() => counts(page)).toContain("1 of 2,500 rows: 1 unchanged");
    await page.getByLabel("Case number").fill("2026-17");
    await page.getByLabel("Requested by").fill("Human resources");
    const pack = await download(page, () =>
      page.getByRole("button", { name: "Make the evidence pack" }).click(),
    );
    expect(pack.name).toBe("access.zip");
    await page.locator(".case-made").waitFor();
    expect(await verdictOf(pack.bytes)).toBe("Unchanged");

    const files = unzipSync(pack.bytes);
    expect(Object.keys(files)).toEqual(
      expect.arrayContaining(["report.pdf", "report.csv", "verify.html", "SHA256SUMS"]),
    );
    const edited = (file: string, from: string, to: string) => {
      const text = Buffer.from(files[file] ?? "").toString("latin1");
      expect(text).toContain(from);
      return zipSync({ ...files, [file]: Buffer.from(text.replace(from, to), "latin1") });
    };
    for (const [file, from, to] of [
      ["events/lines.ndjson", "1000097", "1000098"],
      ["report.csv", "1000097", "1000098"],
      ["case.json", "Human resources", "Nobody at all"],
    ] as const) {
      expect(await verdictOf(edited(file, from, to))).toBe("Changed, or never logged");
    }
  });

  test("a row that was edited in the export is changed, and says so first", async () => {
    const page = await open();
    const edited = rows.with(41, rows[41]?.replace("login41", "login42") ?? "");
    await give(page, { [FILE]: csv(edited), "records.ndjson": records });
    await begin(page);
    await expect.poll(() => counts(page), { timeout: 90_000 }).toContain("2,499 unchanged, 1 changed");
    await page.locator("#case-verdict").selectOption("changed");
    await expect.poll(() => counts(page)).toContain("1 of 2,500");
    await page.locator(".case-grid").press("Enter");
    const dialog = page.getByRole("dialog");
    await expect.poll(() => dialog.locator(".case-verdict").textContent()).toBe("Changed, or never logged");
    expect(await dialog.locator("pre").textContent()).toBe(edited[41]);
    await screen(page, "case-row-changed");
    await page.keyboard.press("Escape");

    await page.getByRole("button", { name: "Reconcile", exact: true }).click();
    await page.getByText("1 row changed after it was logged").waitFor();

    await page.getByRole("button", { name: "Deutsch" }).click();
    for (const width of [320, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      const verdict = page.locator(".case-evidence", { hasText: "Verändert oder nie protokolliert" });
      await verdict.waitFor();
      expect([width, await clipped(page, ".case-evidence, .case-evidence .case-first")]).toEqual([width, []]);
    }
  });

  test("a service that goes down midway loses nothing of what came, and the rest comes once it is back", async () => {
    const page = await open();
    let asked = 0;
    service.refuse(({ url }) => (url.endsWith("/proofs") && ++asked > 2 ? 503 : undefined));
    await give(page, { [FILE]: csv(), "records.ndjson": records });
    await begin(page);
    await page.getByText("The service failed").waitFor();
    const [, unchanged = ""] = /([\d,]+) unchanged/.exec((await counts(page)) ?? "") ?? [];
    const came = Number(unchanged.replace(",", ""));
    expect(came).toBeGreaterThan(0);
    expect(came).toBeLessThan(ROWS);
    await service.kill();
    service.refuse(undefined);
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByText("The service cannot be reached").waitFor();
    expect(await counts(page)).toContain(`${unchanged} unchanged`);
    await service.start();
    service.sent.length = 0;
    await page.getByRole("button", { name: "Go on" }).click();
    await expect.poll(() => counts(page), { timeout: PATIENCE }).toContain(ALL);
    const hashes = service.sent.flatMap(({ url, body }) =>
      url.endsWith("/proofs") ? JSON.parse(body).hashes : [],
    );
    expect(new Set(hashes).size).toBe(ROWS - came);
  });

  test("offline, with proofs and policy as files, all is proven by the keys that were given, and nothing is asked", async () => {
    const first = await proven(await open());
    const proofs = await download(first, () =>
      first.getByRole("button", { name: "Download all proofs" }).click(),
    );
    const page = await open();
    await page.locator("#case-log").selectOption("");
    // Who loses the network has the page by then, and its worker: that took these.
    await give(page, { "proofs.ndjson": Buffer.from(proofs.bytes).toString(), "keys.txt": service.vkeys });
    await page.context().setOffline(true);
    service.sent.length = 0;
    await proven(page);
    await page.getByText("Checked with the keys of the file that you gave").waitFor();
    expect(service.sent).toEqual([]);
  });

  test("a keyring that a passphrase seals opens what it has committed to; another passphrase does not", async () => {
    const path = join(service.folder, "sealed.json");
    const tenantKey = Buffer.from(service.tenantKey, "hex");
    const passphrase = Buffer.from("correct horse");
    await sealAnew(
      { path, tenantKey: new Uint8Array(tenantKey) },
      { by: "passphrase", passphrase, N: 1 << 14 },
      0,
    );
    const page = await open();
    await give(page, { [FILE]: csv(rows.slice(0, 3)), "keyring.json": await readFile(path, "utf8") });
    await page.getByLabel("Passphrase").fill("wrong");
    await begin(page);
    await page.getByText("does not open the keyring").waitFor();
    await page.getByLabel("Passphrase").fill("correct horse");
    await begin(page);
    // These were committed to under random nonces: the log does not know what the key makes of them, and accuses nobody.
    await expect.poll(() => counts(page), { timeout: PATIENCE }).toContain("3 cannot be told yet");
    await expect.poll(() => page.locator("progress").count(), { timeout: PATIENCE }).toBe(0);
    await page.locator(".case-grid").press("Enter");
    const said = page.getByRole("dialog");
    await expect.poll(() => said.locator(".case-verdict").textContent()).toBe("Cannot tell yet");
    await said.getByText("the answer was that the log has no such record").waitFor();
  });

  test("a part of a value finds nothing, and each field that wants the whole says so", async () => {
    const page = await proven(await open());
    for (const label of ["User", "Patient or MRN", "Action", "Record type"]) {
      const described = await page.getByLabel(label, { exact: true }).getAttribute("aria-describedby");
      expect(await page.locator(`#${described}`).textContent()).toContain("A part finds nothing");
    }
    const user = page.getByLabel("User", { exact: true });
    await user.fill("ogin3");
    await expect.poll(() => counts(page)).toMatch(/^0 of/);
    await user.fill("LOGIN3");
    await expect.poll(() => counts(page)).toMatch(/^4 of/);
  });

  test("a review is signed off with its filter's words kept here", async () => {
    const page = await proven(await open());
    await page.getByLabel("User", { exact: true }).fill("login3");
    await expect.poll(() => counts(page)).toMatch(/^4 of/);
    await page.getByLabel("Reviewed by").fill("Ana Berrio");
    service.sent.length = 0;
    const review = await download(page, () => page.getByRole("button", { name: "Sign off" }).click());
    await page.locator(".case-made", { hasText: "Signed off: 4 rows" }).waitFor();
    const [posted] = service.sent.filter(({ url }) => url.endsWith("/reviews"));
    const body = JSON.parse(posted?.body ?? "{}");
    expect(body).toMatchObject({ count: 4, filter: ["user"] });
    expect(posted?.body).not.toMatch(/login3|Berrio/);
    const files = unzipSync(review.bytes);
    const record = JSON.parse(Buffer.from(files["records.ndjson"] ?? "").toString());
    expect(record.commitment).toBe(body.commitment);
    expect(Buffer.from(files[record.event] ?? "").toString()).toContain('"by":"Ana Berrio"');
  });

  test("the keyboard does it all, and axe finds nothing", async () => {
    const page = await proven(await open());
    const grid = page.locator(".case-grid");
    await grid.focus();
    await page.keyboard.press("End");
    await expect.poll(() => grid.getAttribute("aria-activedescendant")).toBe(`case-row-${ROWS - 1}`);
    await page.locator(`#case-row-${ROWS - 1}`).waitFor();
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Row 2 of 2,500" }).waitFor();
    await page.locator(".case-event").waitFor();
    await page.addScriptTag({ content: axe.source }).catch(() => page.evaluate(axe.source));
    const problems = () =>
      page.evaluate(`axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"] })
        .then(({ violations }) => violations.map(({ id, nodes }) => id + " " + nodes[0].html))`);
    expect(await problems()).toEqual([]);
    await page.keyboard.press("Escape");
    await expect
      .poll(() => grid.evaluate((element) => element === element.ownerDocument.activeElement))
      .toBe(true);
    expect(await problems()).toEqual([]);
  });

  test.each([
    ["light", 1440, 900],
    ["dark", 1440, 900],
    ["light", 320, 640],
    ["dark", 320, 640],
    ["light", 3840, 2160],
  ] as const)("it fits a %s screen of %i × %i", async (colorScheme, width, height) => {
    const page = await proven(await open({ colorScheme, viewport: { width, height } }));
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
    // Letters grow on a very large screen, and rows with them.
    expect(await clipped(page, ".case-row, .case-evidence, .case-when .case-first")).toEqual([]);
    await screen(page, `case-${colorScheme}-${width}`);
    await page.locator(".case-grid").press("Enter");
    await page.locator(".case-event").waitFor();
    await screen(page, `case-${colorScheme}-${width}-row`);
  });
});
