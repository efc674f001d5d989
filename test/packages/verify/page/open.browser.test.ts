/** The verifier page as people use it: from disk, without a network, by keyboard, with a screen reader, on paper. */
import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { judgePack } from "@kedge/verify/pack/judge";
import { readPack } from "@kedge/verify/pack/read";
import { fingerprint } from "@kedge/verify/proof/keys";
import type { Place } from "@kedge/verify/proof/verify";
import { leafHash } from "@kedge/verify/tlog/merkle";
import { parseProof } from "@kedge/verify/tlog/proof";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasChromium, openChromium, PATIENCE } from "../../../support/browser.ts";
import { PACK_POLICY, smallPack, smallParts } from "../../../support/pack.ts";
import { choose, headline, openPage, PAGE, PAGE_FILE, paste } from "../../../support/page.ts";
import {
  anchor,
  anchorMldsa,
  EVENT,
  LOG_ORIGIN,
  log,
  makeProof,
  witness1,
  witness2,
} from "../../../support/proofs.ts";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const { proof, commitment } = makeProof({ anchorSigners: [anchor, anchorMldsa, witness1, witness2] });
const EVENT_FILE = { name: "event.json", bytes: EVENT.bytes };
const PROOF_FILE = { name: "event.json.tlog-proof", bytes: proof };
const KEYS_FILE = { name: "policy.txt", bytes: PACK_POLICY };
const ALTERED = { name: "event.json", bytes: EVENT.bytes.with(20, 0x21) };

describe.skipIf(!hasChromium)("the verifier page", () => {
  let browser: Browser;
  let pack: Uint8Array;
  beforeAll(async () => {
    browser = await openChromium();
    pack = await smallPack();
  });
  afterAll(async () => await browser?.close());

  test("it opens from disk, checks, and makes no request; nothing of it is stored, or in its address", async () => {
    const started = performance.now();
    const { page, requests, problems, close } = await openPage(browser);
    console.info(`the verifier page opened from disk in ${Math.round(performance.now() - started)} ms`);
    await choose(page, [EVENT_FILE, PROOF_FILE, KEYS_FILE]);
    expect(await headline(page)).toBe("Unchanged");
    await choose(page, [{ name: "pack.zip", bytes: pack }]);
    await paste(page, PACK_POLICY);
    expect(requests).toEqual([PAGE.href]);
    expect(problems).toEqual([]);
    expect(page.url()).toBe(PAGE.href);
    expect(await storedBy(page)).toEqual([0, 0, ""]);
    await close();
  });

  test("a saved copy in another folder works in a browser that is offline", async () => {
    const folder = await mkdtemp(join(tmpdir(), "kedge-page-"));
    const copy = join(folder, "saved from a pack.html");
    await copyFile(PAGE_FILE, copy);
    const { page, requests, close } = await openPage(browser, {
      offline: true,
      url: pathToFileURL(copy).href,
    });
    await choose(page, [EVENT_FILE, PROOF_FILE, KEYS_FILE]);
    expect(await headline(page)).toBe("Unchanged");
    expect(requests).toHaveLength(1);
    await close();
    await rm(folder, { recursive: true });
  });

  test("its policy lets nothing in and nothing out: no request, no other script, no eval", async () => {
    const { page, close } = await openPage(browser);
    const tried = await page.evaluate(`(async () => {
      const image = await fetch("data:text/plain,x").then(
        () => "fetched",
        () => "refused",
      );
      const script = document.createElement("script");
      script.textContent = "document.title = 'taken over'";
      document.body.append(script);
      return [image, document.title];
    })()`);
    expect(tried).toEqual(["refused", "Check records"]);
    const policy = await page.getAttribute("meta[http-equiv]", "content");
    expect(policy).toMatch(/^default-src 'none'; script-src 'sha256-[^' ]+'; style-src 'sha256-[^' ]+';/);
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    await close();
  });

  test("by keyboard alone: files, keys, verdict, details, language", async () => {
    const { page, close } = await openPage(browser);
    // Asked for before anything else goes to the page: a page that is busy can take a key before it.
    const chooser = page.waitForEvent("filechooser");
    await focus(page, "#choose");
    await page.keyboard.press("Space");
    await (await chooser).setFiles(
      [EVENT_FILE, PROOF_FILE].map(({ name, bytes }) => ({
        name,
        mimeType: "application/octet-stream",
        buffer: Buffer.from(bytes),
      })),
    );
    await expect.poll(() => headline(page), { timeout: PATIENCE }).toBe("Cannot tell yet");
    await focus(page, "#paste");
    await page.keyboard.insertText(PACK_POLICY);
    await expect.poll(() => headline(page).catch(() => ""), { timeout: PATIENCE }).toBe("Unchanged");
    await focus(page, "summary:has-text('For the expert')");
    await page.keyboard.press("Enter");
    expect(await page.getByText(Buffer.from(commitment).toString("hex")).isVisible()).toBe(true);
    await focus(page, "button[lang=de]");
    await page.keyboard.press("Space");
    expect(await headline(page)).toBe("Unverändert");
    await close();
  });

  test("a screen reader is told: the verdict is a heading of the result, before details and files", async () => {
    const { page, close } = await openPage(browser);
    await choose(page, [EVENT_FILE, PROOF_FILE, KEYS_FILE]);
    const tree = await page.locator("body").ariaSnapshot();
    const order = [
      'heading "Check records" [level=1]',
      'region "Unchanged"',
      'heading "Unchanged" [level=2]',
      "byte for byte",
      'heading "What this does not show" [level=3]',
      'region "Files"',
      'button "Choose files"',
      'combobox "What event.json is"',
      'region "Keys"',
      'textbox "Policy or public keys"',
    ];
    const places = order.map((text) => tree.indexOf(text));
    expect(places.includes(-1) ? tree : places).toEqual(places.toSorted((a, b) => a - b));
    expect(await page.locator("[role=status]").count()).toBe(1);
    await close();
  });

  test.each(["light", "dark"] as const)("axe finds nothing against WCAG 2.2 AA, %s", async (colorScheme) => {
    const { page, close } = await openPage(browser, { colorScheme });
    const found: unknown[] = [await axe(page)];
    await choose(page, [EVENT_FILE, PROOF_FILE, KEYS_FILE]);
    found.push(await axe(page));
    await page.getByRole("button", { name: "Remove all files" }).click();
    await choose(page, [ALTERED, PROOF_FILE, KEYS_FILE]);
    found.push(await axe(page));
    await page.getByRole("button", { name: "Remove all files" }).click();
    await choose(page, [{ name: "pack.zip", bytes: pack }]);
    await page.getByRole("button", { name: "Details of record 1", exact: true }).click();
    found.push(await axe(page));
    await page.setViewportSize({ width: 320, height: 640 });
    found.push(await axe(page));
    expect(found).toEqual([[], [], [], [], []]);
    await close();
  });

  test("at 320 pixels nothing has to be scrolled sideways", async () => {
    const { page, close } = await openPage(browser, { viewport: { width: 320, height: 640 } });
    await choose(page, [{ name: "pack.zip", bytes: pack }]);
    await page.getByRole("button", { name: "Details of record 1", exact: true }).click();
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(320);
    const tables = page.locator(".scroll");
    expect(await tables.count()).toBe(2);
    for (const table of await tables.all())
      expect(await table.evaluate(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)).toBe(0);
    await page.getByRole("button", { name: "Remove pack.zip" }).click();
    await choose(page, [EVENT_FILE, PROOF_FILE, KEYS_FILE]);
    await page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true");
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(320);
    await close();
  });

  test("German for who reads German, and both with one click", async () => {
    const { page, close } = await openPage(browser, { locale: "de-AT" });
    expect(await page.innerText("h1")).toBe("Datensätze prüfen");
    expect(await page.getAttribute("html", "lang")).toBe("de");
    await choose(page, [EVENT_FILE, PROOF_FILE, KEYS_FILE]);
    expect(await page.innerText(".result")).not.toMatch(/\b(the|what|shown|record)\b/i);
    await page.getByRole("button", { name: "English" }).click();
    expect(await page.innerText("h1")).toBe("Check records");
    expect(await page.getAttribute("html", "lang")).toBe("en");
    await close();
  });

  test("keys of the pack are said to be the pack's, and keys from elsewhere take their place", async () => {
    const { page, close } = await openPage(browser);
    await choose(page, [{ name: "pack.zip", bytes: pack }]);
    expect(await headline(page)).toBe("Unchanged");
    expect(await page.innerText(".result .note")).toMatch(/came with the pack.*whoever made it could/s);
    await paste(page, PACK_POLICY);
    expect(await page.locator(".result .note").count()).toBe(0);
    expect(await page.innerText(".result")).toContain("Checked with the keys that you gave.");
    await close();
  });

  test("keys that cannot be read are no leave to take those of the pack: nothing can be told", async () => {
    const { page, close } = await openPage(browser);
    await choose(page, [{ name: "pack.zip", bytes: pack }]);
    await paste(page, `${PACK_POLICY.slice(0, 60)}\n`);
    expect(await headline(page)).toBe("Cannot tell yet");
    expect(await page.innerText(".result")).toContain("These keys cannot be read.");
    await close();
  });

  test("texts of a pack hide, turn and cover nothing, and its keys and quorum are told whole", async () => {
    const parts = smallParts();
    const piled = `e${"\u0301\u0336\u20dd".repeat(600)}`;
    const about = { ...parts.case, number: "\u202e71-6202 degnahcnU", reason: `${piled}\nsecond line` };
    const policy = PACK_POLICY.replaceAll(/\ball\b/g, "five-of-five").replace(
      "five-of-five 2",
      "five-of-five 1",
    );
    // A pack has no row but of its filter: the last one names nobody.
    const filter = { list: ["\u202eone; patient two", "\u2067x", piled, "Ines Beispiel", "=cmd()"] };
    const rows = [...parts.rows].slice(0, -1);
    const told = { ...about, preparedBy: "A\u200bB", filter };
    const zip = await smallPack({ ...parts, policy, rows, case: told });
    const { page, close } = await openPage(browser);
    await choose(page, [{ name: "pack\u202e.zip", bytes: zip }]);
    expect(await headline(page)).toBe("Unchanged");
    const text = await page.innerText("main");
    expect(text).not.toMatch(
      /[\u200b\u202e\u2067]|\u0301\u0336\u20dd\u0301\u0336\u20dd\u0301\u0336\u20dd\u0301/,
    );
    expect(text).toContain("\ufffd71-6202 degnahcnU");
    expect(text).toMatch(/\ufffd second line/);
    expect(text).toContain("A\ufffdB");
    expect(text).toContain("Witnesses needed: 1 / 2: w1, w2");
    for (const { vkey } of [log, anchor, witness1, witness2]) expect(text).toContain(fingerprint(vkey));
    const isWide = "document.documentElement.scrollWidth > innerWidth";
    expect(await page.evaluate(isWide)).toBe(false);
    await close();
  });

  test("what a scanned report speaks of is shown, and compared once there is something to compare", async () => {
    const { index, checkpoint } = parseProof(proof);
    const [, size = "", root = ""] = checkpoint.split("\n");
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
    const tree = { log: LOG_ORIGIN, size, root: hex(Buffer.from(root, "base64")) };
    const scanned = new URLSearchParams({ ...tree, index: `${index}`, leaf: hex(leafHash(commitment)) });
    const { page, close } = await openPage(browser, { url: `${PAGE.href}#${scanned}` });
    const says = () => page.innerText(".scanned");
    expect(await says()).toMatch(/speaks of this one record.*proves nothing by itself/s);
    await choose(page, [EVENT_FILE, PROOF_FILE, KEYS_FILE]);
    expect(await says()).toMatch(/place, entry and tree are the same/);
    await page.getByRole("button", { name: "Remove all files" }).click();
    await choose(page, [{ name: "pack.zip", bytes: pack }]);
    expect(await says()).toMatch(/speaks of something else/);
    await close();
  });

  test("the link of a pack's report leads to that pack, and to no other", async () => {
    const judged = await judgePack(await readPack(pack));
    const { log, size, root } = treeOf(judged.rows[0]?.report?.log);
    for (const [evidence, says] of [
      [judged.evidence, /rests on the tree of the log that these records stand in/],
      ["0".repeat(64), /speaks of something else/],
    ] as const) {
      const { page, close } = await openPage(browser, {
        url: `${PAGE.href}#${new URLSearchParams({ log, size, root, evidence })}`,
      });
      await choose(page, [{ name: "pack.zip", bytes: pack }]);
      expect(await page.innerText(".scanned")).toMatch(says);
      await close();
    }
  });

  test("on paper all is unfolded, what was given is named with its hash, and no button is printed", async () => {
    const { page, close } = await openPage(browser);
    await choose(page, [EVENT_FILE, PROOF_FILE, KEYS_FILE]);
    await page.emulateMedia({ media: "print" });
    await page.evaluate(`dispatchEvent(new Event("beforeprint"))`);
    expect(await page.locator("main details:not([open])").count()).toBe(0);
    expect(await page.locator("button:visible, textarea:visible, input:visible").count()).toBe(0);
    const text = await page.innerText("main");
    expect(text).toContain("Unchanged");
    expect(text).toContain(Buffer.from(commitment).toString("hex"));
    expect(text.match(/[0-9a-f]{64}/g)?.length).toBeGreaterThanOrEqual(5);
    await page.evaluate(`dispatchEvent(new Event("afterprint"))`);
    expect(await page.locator("main details:not([open])").count()).toBeGreaterThan(0);
    await close();
  });

  test("of a pack, the record of the row that is open is on paper too, though nobody unfolded it", async () => {
    const { page, close } = await openPage(browser);
    await choose(page, [{ name: "pack.zip", bytes: await smallPack() }]);
    await page.getByRole("button", { name: "Details of record 1" }).click();
    const record = page.locator(".opened pre");
    await expect.poll(() => record.count()).toBe(1);
    await page.emulateMedia({ media: "print" });
    await page.evaluate(`dispatchEvent(new Event("beforeprint"))`);
    expect((await record.innerText()).length).toBeGreaterThan(10);
    await close();
  });

  test("records without their event are said to be withheld, never unchanged", async () => {
    const parts = smallParts();
    const withheld = await smallPack({
      ...parts,
      case: { ...parts.case, withheld: "patients" },
      rows: [...parts.rows].map((row, i) => {
        const { event: _, ...bare } = row;
        return i < 2 ? bare : row;
      }),
    });
    const { page, close } = await openPage(browser);
    await choose(page, [{ name: "pack.zip", bytes: withheld }]);
    expect(await page.locator("tbody .badge >> text=withheld").count()).toBe(2);
    await close();
  });
});

function treeOf(place: Place | undefined): { log: string; size: string; root: string } {
  if (place === undefined) throw new Error("the row stands nowhere");
  const root = Buffer.from(place.root, "base64").toString("hex");
  return { log: place.origin, size: place.treeSize, root };
}

/** Tab to what the selector finds: as somebody does who has no mouse. */
async function focus(page: Page, selector: string): Promise<void> {
  for (let i = 0; i < 80; i++) {
    if ((await page.locator(selector).and(page.locator(":focus")).count()) > 0) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`${selector} is not reached by the tabulator key`);
}

/** What axe finds, a line each. */
async function axe(page: Page): Promise<unknown> {
  await page.evaluate(await readFile(AXE, "utf8"));
  return await page.evaluate(`axe
    .run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })
    .then(({ violations }) => violations.map(({ id, nodes }) => id + ": " + nodes[0].html))`);
}

/** What the page keeps anywhere. */
const storedBy = (page: Page) =>
  page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]");
