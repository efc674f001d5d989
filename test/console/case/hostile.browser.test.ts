/** The officer's case in Chromium under hostile files, hostile answers and a service that fails: nothing leaves, nothing misleads. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commitEvent } from "@kedge/verify/events/commitment";
import { MANIFEST_MEDIA_TYPE, manifestBytes, manifestSource } from "@kedge/verify/events/manifest";
import { leafHash, rootOf } from "@kedge/verify/tlog/merkle";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { unzipSync } from "fflate";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { hasChromium, openChromium, PATIENCE } from "../../support/browser.ts";
import { EPIC_HEADER, epicRow } from "../../support/epic-rows.ts";
import { screen } from "../../support/screens.ts";
import { begin, counts, give, openCasePage } from "./case-page.ts";
import { type CaseService, commitLines, openCaseService } from "./case-service.ts";

const ROWS = 12;
const FILE = "access-log.csv";
const MARKUP = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`;

let service: CaseService;
let browser: Browser;
let rows: string[];
let records: string;
let folder: string;
let pages: Page[] = [];
let byKey: Record<string, string>;
let numbered: { events: string; records: string };

const utf8 = (text: string) => new TextEncoder().encode(text);
const audit = (n: number) => ({
  resourceType: "AuditEvent",
  action: "R",
  recorded: `2026-03-02T08:0${n}:00Z`,
  agent: [{ name: "Ines Beispiel", requestor: true }],
  entity: [{ what: { reference: `Patient/MRN-${n}` }, role: { code: "1" }, name: "Erika Mustermann" }],
});

beforeAll(async () => {
  if (!hasChromium) return;
  folder = await mkdtemp(join(tmpdir(), "kedge-hostile-"));
  [service, browser] = await Promise.all([openCaseService(), openChromium()]);
  rows = Array.from({ length: ROWS }, (_, i) => epicRow(i)).with(
    1,
    epicRow(1).replace("login1", MARKUP.replaceAll('"', "'")),
  );
  const made = commitLines(
    FILE,
    rows.map((text, i) => ({ line: i + 2, text })),
    "text/csv",
  );
  records = made.records;
  const commitments = [...made.commitments];

  // Committed to by the tenant's key: no record is kept of them.
  const tenantKey = hexToBytes(service.tenantKey);
  const byTenantKey = (text: string, mediaType: string): string => {
    commitments.push(commitEvent({ bytes: utf8(text), mediaType }, { tenantKey }).commitment);
    return text;
  };
  const line = (n: number) => byTenantKey(JSON.stringify(audit(n)), "application/fhir+json");
  const entries = [3, 4].map((n) => `{"resource":${line(n)}}`).join(",");
  const csvRow = (n: number) => byTenantKey(`2026-03-0${n} 10:00:00,u${n},MRN-${n},on call`, "text/csv");
  byKey = {
    "ehr.ndjson": `${line(1)}\n${line(2)}\n`,
    "bundle.json": `{"resourceType":"Bundle","type":"searchset","entry":[${entries}]}`,
    "plain.csv": ["ACCESS_TIME,USER_ID,PAT_MRN_ID,BTG_EXPLANATION", csvRow(1), csvRow(2), ""].join("\n"),
    "atna.xml": byTenantKey(
      `<AuditMessage><EventIdentification EventActionCode="R" EventDateTime="2026-03-02T08:00:00Z" EventOutcomeIndicator="0"/></AuditMessage>`,
      "application/xml",
    ),
  };

  // Numbered 1, 2, 4: the manifest counts three, 1 to 3, and 3 is not there.
  const of = (text: string, more: { source: string; sequence: bigint; mediaType: string }) => {
    const { commitment, opening } = commitEvent(
      { bytes: utf8(text), ...more },
      { nonce: crypto.getRandomValues(new Uint8Array(32)) },
    );
    commitments.push(commitment);
    return { text, commitment, opening };
  };
  const events = [1, 2, 3].map((n) =>
    of(JSON.stringify(audit(n + 4)), {
      ...{ source: "ehr", sequence: BigInt(n), mediaType: "application/fhir+json" },
    }),
  );
  const from = Date.parse("2026-03-02T08:00:00Z");
  const manifest = of(
    new TextDecoder().decode(
      manifestBytes({
        ...{ source: "ehr", from, to: from + 3_600_000, numbers: { first: 1n, last: 3n } },
        root: rootOf(events.map(({ commitment }) => leafHash(commitment))),
      }),
    ),
    { source: manifestSource("ehr"), sequence: 1n, mediaType: MANIFEST_MEDIA_TYPE },
  );
  const kept = [events[0], events[2], manifest].flatMap((one) => one ?? []);
  numbered = {
    events: kept.map(({ text }) => `${text}\n`).join(""),
    records: kept
      .map(
        ({ commitment, opening }, i) =>
          `${JSON.stringify({ event: "ehr.ndjson", line: i + 1, commitment: bytesToHex(commitment), opening })}\n`,
      )
      .join(""),
  };

  const client = service.client();
  await client.post(service.log, commitments);
  for await (const _ of client.follow(service.log, commitments, { to: "anchored", patience: 120_000 }));
});
afterEach(async () => {
  service?.refuse(undefined);
  for (const page of pages) await page.context().close();
  pages = [];
});
afterAll(async () => {
  await browser?.close();
  await service?.close();
  await rm(folder, { recursive: true, force: true });
});

const csv = (of: readonly string[] = rows) => [EPIC_HEADER, ...of, ""].join("\r\n");

async function open(...[options]: OptionsOf) {
  const page = await openCasePage(browser, service, options);
  pages.push(page);
  return page;
}
type OptionsOf = Parameters<typeof openCasePage> extends [unknown, unknown, ...infer Rest] ? Rest : never;

const countsOf = (page: Page, text: string) =>
  expect.poll(() => counts(page), { timeout: PATIENCE }).toContain(text);

/** No proof comes until what it resolves to is called. */
async function holdProofs(page: Page): Promise<() => void> {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  await page.route("**/proofs", async (route) => {
    await held;
    // Who cancelled has ended the request meanwhile.
    await route.continue().catch(() => undefined);
  });
  return () => release();
}

async function proven(page: Page, files: Record<string, string> = {}): Promise<Page> {
  await give(page, { [FILE]: csv(), "records.ndjson": records, ...files });
  await begin(page);
  await countsOf(page, `${ROWS} unchanged`);
  return page;
}

async function download(page: Page, act: () => Promise<void>): Promise<{ name: string; bytes: Uint8Array }> {
  const [file] = await Promise.all([page.waitForEvent("download"), act()]);
  return { name: file.suggestedFilename(), bytes: new Uint8Array(await readFile(await file.path())) };
}
const textOf = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? "").toString();
const press = (page: Page, name: string) => page.getByRole("button", { name, exact: true }).click();

describe.skipIf(!hasChromium)("hostile files", () => {
  test("markup in an event, a name or a file's name is text; nothing of an event is kept by the browser", async () => {
    const page = await open();
    const name = `<img src=x onerror=window.hacked=1>.csv`;
    await give(page, { [name]: csv(), "records.ndjson": records });
    await begin(page);
    await countsOf(page, `${ROWS} unchanged`);
    await page.locator(".case-grid").press("ArrowDown");
    await page.locator(".case-grid").press("Enter");
    await page.locator(".case-event").waitFor();
    expect(await page.locator(".case-event").textContent()).toContain("<script>window.hacked=1");
    expect(await page.evaluate("window.hacked")).toBeUndefined();
    await page.keyboard.press("Escape");
    await page.getByLabel("Patient or MRN").fill("1000003");
    await expect.poll(() => counts(page)).toMatch(/^1 of/);
    const kept = await page.evaluate(`(async () => JSON.stringify([
      { ...localStorage }, { ...sessionStorage }, document.cookie, document.title, location.href, window.name,
      history.state, await indexedDB.databases(), await caches.keys(),
      (await navigator.serviceWorker.getRegistrations()).length,
      performance.getEntriesByType("resource").map(({ name }) => name),
    ]))()`);
    expect(kept).not.toMatch(/(?<![\da-f])1000003(?![\da-f])|login|kedgesession|#start|#link|WS-/);
    expect(kept).toContain('[{},{},"","');
    const { cookies, origins } = await page.context().storageState();
    expect([cookies, origins]).toEqual([[], []]);
    const fields = await page.evaluate(`[...document.querySelectorAll(
      ".case input:not([type=file], [type=checkbox], [type=radio]), .case textarea")].filter(
      (field) => field.autocomplete !== "off" || field.spellcheck || field.translate).map((field) => field.id)`);
    expect(fields).toEqual([]);
  });

  test("a worker that holds events reaches nobody but the service, by its own policy", async () => {
    const page = await open();
    const elsewhere: string[] = [];
    page.context().on("request", (request) => elsewhere.push(request.url()));
    await give(page, { "a.csv": csv() });
    await expect.poll(() => page.workers().length).toBe(1);
    const [worker] = page.workers();
    expect(await worker?.evaluate(`fetch("http://127.0.0.2:9/").then(() => "sent", () => "refused")`)).toBe(
      "refused",
    );
    expect(
      await worker?.evaluate(`new Promise((tell) => {
        addEventListener("securitypolicyviolation", ({ effectiveDirective }) => tell(effectiveDirective));
        fetch("http://127.0.0.2:9/").catch(() => setTimeout(() => tell("none"), 30_000));
      })`),
    ).toBe("connect-src");
    expect(elsewhere.filter((url) => url.includes("127.0.0.2"))).toEqual([]);
  });

  test.each([
    ["empty", "", /there is no event in it/],
    ["of UTF-16", Buffer.from(csv16(), "utf16le"), /UTF-8|UTF-16/],
    ["binary", Buffer.from(Array.from({ length: 4_096 }, (_, i) => (i * 31) % 256)), /broken\.csv/],
    [
      "of 100,000 columns",
      `${Array.from({ length: 100_000 }, (_, i) => `c${i}`).join(",")}\n1\n`,
      /broken\.csv/,
    ],
  ])("a file that is %s is told, and the others are read", async (_, content, told) => {
    const page = await open();
    const buffer = Buffer.from(content);
    await page.getByTestId("case-chooser").setInputFiles([
      { name: "broken.csv", mimeType: "text/csv", buffer },
      { name: FILE, mimeType: "text/csv", buffer: Buffer.from(csv()) },
      { name: "records.ndjson", mimeType: "text/plain", buffer: Buffer.from(records) },
    ]);
    await page.locator(".case-given li").nth(2).waitFor();
    await begin(page);
    await countsOf(page, `${ROWS} unchanged, 0 changed`);
    await expect.poll(() => page.locator(".case-problems").textContent()).toMatch(told);
    expect((await page.locator(".case-problems").textContent())?.match(/broken\.csv/g)).toHaveLength(1);
  });

  test("broken keys, policies and certificates are told in words, and a worker that died too", async () => {
    const page = await open();
    await give(page, { [FILE]: csv(), "records.ndjson": records });
    const broken = async (name: string, text: string, is: string, told: string) => {
      await give(page, { [name]: text });
      await page.getByLabel(`What ${name} is`).selectOption(is);
      await begin2(page);
      await page.getByText(told).first().waitFor();
      await page.getByLabel(`Remove ${name}`).click();
    };
    await broken("keyring.json", "{}", "keys", "This is neither a keyring nor a tenant key");
    await broken("policy.txt", "log nothing", "policy", "The policy cannot be read");
    await broken(
      "tsa.pem",
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
      "authority",
      "A certificate of a timestamping authority cannot be read",
    );
    await begin2(page);
    await countsOf(page, `${ROWS} unchanged`);
    await page.workers()[0]?.evaluate(`setTimeout(() => { throw new Error("gone") })`);
    await expect
      .poll(
        async () => {
          const button = page.getByRole("button", { name: "Reconcile", exact: true });
          await button.click({ timeout: 1_000 }).catch(() => undefined);
          return page
            .locator(".case > .case-alert")
            .textContent({ timeout: 1_000 })
            .catch(() => "");
        },
        { timeout: 60_000 },
      )
      .toContain("The page's worker stopped");
  });

  test("folders are dropped with all that is in them", async () => {
    const inner = join(folder, "dropped", "march");
    await mkdir(inner, { recursive: true });
    await writeFile(join(inner, FILE), csv());
    await writeFile(join(folder, "dropped", "records.ndjson"), records);
    const page = await open();
    const devtools = await page.context().newCDPSession(page);
    const box = await page.locator(".case-drop").boundingBox();
    const at = { x: (box?.x ?? 0) + 20, y: (box?.y ?? 0) + 20 };
    const data = { items: [], files: [join(folder, "dropped")], dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"] as const)
      await devtools.send("Input.dispatchDragEvent", { type, ...at, data });
    await expect.poll(() => page.locator(".case-given li").count()).toBe(2);
    await begin(page);
    await countsOf(page, `${ROWS} unchanged`);
  });

  test("records of another export and keys of another log say what they are, and no row is called unchanged", async () => {
    const page = await open();
    const other = commitLines(FILE, [{ line: 2, text: epicRow(900) }], "text/csv").records;
    await give(page, { [FILE]: csv(), "records.ndjson": other });
    await begin(page);
    await countsOf(page, "0 unchanged");
    const another = await open();
    const [vkey = ""] = service.vkeys.split("\n");
    const [origin] = vkey.split("+");
    const stranger = vkey.replace(origin ?? "", "kedge.example/logs/elsewhere");
    await give(another, { [FILE]: csv(), "records.ndjson": records, "keys.txt": stranger });
    await another.getByLabel("What keys.txt is").selectOption("policy");
    await begin(another);
    await expect
      .poll(() => another.locator(".case-count, .case > .case-alert").first().textContent(), {
        timeout: PATIENCE,
      })
      .toMatch(/0 unchanged|The policy cannot be read/);
  });
});

const begin2 = (page: Page) =>
  page.getByRole("button", { name: /Prove the rows|Read the files again/ }).click();
function csv16(): string {
  return `\ufeff${EPIC_HEADER}\r\n${epicRow(0)}\r\n`;
}

describe.skipIf(!hasChromium)("a service that fails or lies", () => {
  test("reconciliation never says that no record is without a row while it could not ask", async () => {
    const page = await open();
    await give(page, { [FILE]: csv(rows.slice(0, -1)), "records.ndjson": records });
    await begin(page);
    await countsOf(page, `${ROWS - 1} unchanged`);
    service.refuse(({ url }) => (url.endsWith("/proofs") ? 503 : undefined));
    await press(page, "Reconcile");
    const found = page.locator("section[aria-labelledby=case-reconcile]");
    await found.getByText("1 record without a row, of which it cannot be told yet").waitFor();
    await found.getByText("The service failed").waitFor();
    expect(await found.textContent()).not.toContain("no record is without its row");
    service.refuse(undefined);
    await press(page, "Reconcile");
    await found.getByText("1 record without a row: left out of the export").waitFor();
    await found.getByText("1 record without a row").click();
    await found.getByText(`${FILE}, ${ROWS + 1}`).waitFor();
  });

  test.each([
    [429, "The service is busy"],
    [500, "The service failed"],
    [403, "You may not read this log"],
    [200, "The service cannot be reached"],
  ])("an answer of %i ends in words, and rows stay as they were", async (status, told) => {
    const page = await open();
    service.refuse(({ url }) => (url.endsWith("/proofs") ? status : undefined));
    await give(page, { [FILE]: csv(), "records.ndjson": records });
    await begin(page);
    await page.getByText(told).first().waitFor();
    await countsOf(page, `0 unchanged, 0 changed or never logged, ${ROWS} cannot be told yet`);
    service.refuse(undefined);
    await press(page, "Go on");
    await countsOf(page, `${ROWS} unchanged`);
  });

  test("the proof of one row is not handed out while it cannot be reported, and says why", async () => {
    const page = await proven(await open());
    service.refuse(({ url }) => (url.endsWith("/exports") ? 500 : undefined));
    await page.locator(".case-grid").press("Enter");
    await press(page, "Download its proof");
    await page.getByRole("dialog").getByText("The service failed").waitFor();
    service.refuse(undefined);
    service.sent.length = 0;
    const proof = await download(page, () => press(page, "Download its proof"));
    expect(proof.name).toMatch(/^[0-9a-f]{8}\.tlog-proof$/);
    const [report] = service.sent.filter(({ url }) => url.endsWith("/exports"));
    expect(JSON.parse(report?.body ?? "{}")).toEqual({ kind: "proof", log: service.log, count: 1 });
  });

  test("going back from an open row leaves a page that can be used", async () => {
    const page = await proven(await open());
    await page.locator(".case-grid").press("Enter");
    await page.locator(".case-event").waitFor();
    await page.goBack();
    await page.locator("nav.pages a[href='#/about']").click();
    await page.locator("nav.pages a[href='#/prove']").click();
    await countsOf(page, `${ROWS} unchanged`);
  });

  test("another choice of log counts once the files are read again, and not for what is handed out", async () => {
    const page = await proven(await open());
    await page.locator("#case-log").selectOption("");
    service.sent.length = 0;
    await download(page, () => press(page, "Download all proofs"));
    const [report] = service.sent.filter(({ url }) => url.endsWith("/exports"));
    expect(JSON.parse(report?.body ?? "{}")).toEqual({ kind: "proofs", log: service.log, count: ROWS });
  });

  test("who cancels keeps what was there, and may go on", async () => {
    const page = await open();
    const release = await holdProofs(page);
    await give(page, { [FILE]: csv(), "records.ndjson": records });
    await begin(page);
    await press(page, "Cancel");
    await page.getByText("Cancelled.").waitFor();
    await countsOf(page, `${ROWS} cannot be told yet`);
    release();
    await press(page, "Go on");
    await countsOf(page, `${ROWS} unchanged`);
  });

  test("filters that are changed while proofs come are those that count once they have come", async () => {
    const page = await open();
    const release = await holdProofs(page);
    await give(page, { [FILE]: csv(), "records.ndjson": records });
    await begin(page);
    await countsOf(page, `${ROWS} of ${ROWS} rows`);
    await page.getByLabel("Patient or MRN").fill("1000007");
    await countsOf(page, `1 of ${ROWS} rows`);
    release();
    await page.locator("text=the keys that the service itself gave").waitFor();
    await page.locator(".case-progress").waitFor({ state: "detached" });
    await countsOf(page, `1 of ${ROWS} rows: 1 unchanged`);
    const proofs = await download(page, () => press(page, "Download all proofs"));
    expect(textOf(proofs.bytes).trim().split("\n")).toHaveLength(1);
  });

  test("filters that are no question say so, and no row stands for their answer", async () => {
    const page = await proven(await open());
    await page.getByText("My list, and products").click();
    await page.getByLabel("GTIN").fill("123");
    await page.getByText("These filters are no question").waitFor();
    await countsOf(page, `0 of ${ROWS} rows`);
    expect(await page.getByRole("button", { name: "Download all proofs" }).isDisabled()).toBe(true);
    await page.getByLabel("GTIN").fill("");
    await countsOf(page, `${ROWS} of ${ROWS} rows: ${ROWS} unchanged`);
    expect(await page.getByText("These filters are no question").count()).toBe(0);
  });

  test("what was found in other files does not stand beside those that are read now", async () => {
    const page = await open();
    await give(page, { [FILE]: csv(rows.slice(0, -1)), "records.ndjson": records });
    await begin(page);
    await countsOf(page, `${ROWS - 1} unchanged`);
    await press(page, "Reconcile");
    const found = page.getByText("1 record without a row: left out of the export");
    await found.waitFor();
    await page.getByRole("button", { name: `Remove ${FILE}` }).click();
    await give(page, { [FILE]: csv() });
    await press(page, "Read the files again");
    await countsOf(page, `${ROWS} unchanged`);
    expect(await found.count()).toBe(0);
  });
});

describe.skipIf(!hasChromium)("exports of every kind", () => {
  test("a table whose columns nobody named says so, and with headers.ndjson it has them", async () => {
    const header = ["Zeit", "Kennung", "Fallnummer"];
    const row = "2026-03-01 10:00:00;login7;F-17";
    const preset = { when: "Zeit", "user.login": "Kennung", "patient.mrn": "Fallnummer" };
    const above = { header: { separator: ";", header, preset }, events: ["events/kis-1.csv"] };
    const page = await open();
    await give(page, {
      "kis.csv": [header.join(";"), row, ""].join("\n"),
      "records.ndjson": commitLines("kis.csv", [{ line: 2, text: row }], "text/csv").records,
    });
    await begin(page);
    await page.getByText("Of 1 row neither time, user nor patient can be read.").waitFor();
    await give(page, { "headers.ndjson": `${JSON.stringify(above)}\n` });
    await page.getByText("What stands below is of the files and the log that were read before.").waitFor();
    await begin2(page);
    await page.locator(".case-grid").getByText("F-17").waitFor();
    expect(await page.getByText("neither time, user nor patient").count()).toBe(0);
    expect(await page.getByText("What stands below is of the files").count()).toBe(0);
    // As the cell has it.
    await page.getByLabel("Patient or MRN").fill("MRN F-17");
    await expect.poll(() => counts(page)).toMatch(/^1 of 1/);
  });

  test.each(["tenant key", "credentials"])(
    "NDJSON, a FHIR Bundle, CSV and XML are proven with a %s alone",
    async (by) => {
      const page = await open();
      const key = by === "tenant key" ? service.tenantKey : JSON.stringify({ tenantKey: service.tenantKey });
      service.sent.length = 0;
      await give(page, { ...byKey, "key.txt": key });
      await begin(page);
      await countsOf(page, "7 of 7 rows: 7 unchanged");
      for (const { url, body } of service.sent) expect(`${url}${body}`).not.toContain(service.tenantKey);
    },
  );

  test("manifests show which number is missing, per source", async () => {
    const page = await open();
    await give(page, { "ehr.ndjson": numbered.events, "records.ndjson": numbered.records });
    await begin(page);
    await countsOf(page, "2 of 2 rows: 2 unchanged");
    const gaps = page.locator("section[aria-labelledby=case-gaps]");
    await gaps.getByText("ehr: not complete").waitFor();
    expect(await gaps.textContent()).toMatch(/\b2\b/);
    await screen(page, "case-gaps");
    await page.getByRole("button", { name: "Deutsch" }).click();
    await gaps.getByText(/^Die Quelle "ehr": es fehlt die Nummer 2/).waitFor();
  });

  test("an accounting of disclosures has only marked rows, a withheld pack no patient, a patient's page one", async () => {
    const page = await proven(await open());
    await page.getByLabel(/Accounting of disclosures/).check();
    await press(page, "Make the evidence pack");
    const alert = page.getByText("No row is marked as a disclosure");
    // What went wrong is seen where the button is, far below.
    await expect.poll(async () => (await alert.boundingBox())?.y).toBeGreaterThanOrEqual(0);
    await page.locator(".case-grid").press("Enter");
    await page.getByText("Disclosure (45 CFR 164.528)").click();
    await page.getByLabel("Recipient").fill("A court");
    await page.getByLabel("What was disclosed, in brief").fill("Two results");
    await page.getByLabel("Purpose").fill("A subpoena");
    await press(page, "Mark as a disclosure");
    await page.getByText("Marked as a disclosure", { exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByLabel(/Accounting of disclosures/).check();
    service.sent.length = 0;
    const disclosures = unzipSync((await download(page, () => press(page, "Make the evidence pack"))).bytes);
    expect(textOf(disclosures["report.csv"])).toContain("A court");
    expect(textOf(disclosures["report.csv"]).trim().split("\n")).toHaveLength(2);

    await page.getByLabel("Access report").check();
    await page.getByLabel(/Withhold patients/).check();
    const withheld = unzipSync((await download(page, () => press(page, "Make the evidence pack"))).bytes);
    const all = Object.entries(withheld)
      .filter(([name]) => !/\.(html|pdf)$/.test(name))
      .map(([, bytes]) => textOf(bytes));
    expect(all.join("")).not.toMatch(/(?<![\da-f])10000\d\d(?![\da-f])|Ashdown|Berrio/);

    await page.getByLabel(/Withhold patients/).uncheck();
    await page.getByLabel("Patient or MRN").fill("1000003");
    await expect.poll(() => counts(page)).toMatch(/^1 of/);
    const patient = await download(page, () => press(page, "Page for the patient"));
    expect(patient.name).toBe("patient.html");
    expect(textOf(patient.bytes)).not.toMatch(/(?<![\da-f])10000(?!03)\d\d(?![\da-f])/);
    for (const { url, body } of service.sent) {
      expect(`${url}${body}`).not.toMatch(/(?<![\da-f])10000\d\d(?![\da-f])|login\d|court|subpoena|Ashdown/i);
    }
    expect(service.sent.filter(({ url }) => url.endsWith("/exports"))).toHaveLength(3);
  });

  test.each([
    ["dark", 320, "de-DE"],
    ["light", 1_280, "de-DE"],
  ] as const)("German fits a %s screen of %i", async (colorScheme, width, locale) => {
    const page = await open({ colorScheme, locale, viewport: { width, height: 700 } });
    await give(page, { [FILE]: csv(), "records.ndjson": records });
    await page.getByRole("button", { name: "Zeilen nachweisen" }).click();
    await countsOf(page, `${ROWS} unverändert`);
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
    // On a card each label has one line, beside what it is of.
    const wrapped = `[...document.querySelectorAll(".case-cards .case-label")]
      .filter((it) => it.clientHeight > 24 || it.scrollWidth > it.clientWidth + 1)
      .map((it) => it.textContent)`;
    expect(await page.evaluate(wrapped)).toEqual([]);
    await screen(page, `case-de-${colorScheme}-${width}`);
    await page.locator(".case-grid").press("Enter");
    await page.locator(".case-event").waitFor();
    await screen(page, `case-de-${colorScheme}-${width}-row`);
  });

  test("in print there are all rows, and no controls", async () => {
    const page = await proven(await open());
    // The printed table is there while the dialog of the browser is: it is held there for the picture.
    await page.evaluate(`window.print = () => {
      const copy = document.querySelector(".case-printed").cloneNode(true);
      copy.classList.add("held");
      document.querySelector("section[aria-labelledby=case-rows]").append(copy);
    }`);
    await press(page, "Print these rows");
    await page
      .locator(".case-printed.held tbody tr")
      .nth(ROWS - 1)
      .waitFor({ state: "attached" });
    await page.emulateMedia({ media: "print" });
    await page.setViewportSize({ width: 794, height: 1_123 });
    await screen(page, "case-print");
    await page.locator(".case-printed:not(.held)").waitFor({ state: "detached" });
    expect(await page.locator(".case button:visible").count()).toBe(0);
    expect(await page.locator(".case-printed tbody tr:visible").count()).toBe(ROWS);
  });
});
