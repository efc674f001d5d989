/** The console in Chromium, in front of what `npm start` starts. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { hasChromium, PATIENCE } from "../support/browser.ts";
import { newKey } from "../support/oidc-forger.ts";
import { startProvider } from "../support/oidc-server.ts";
import { screen } from "../support/screens.ts";
import { type Console, startConsole, type Window } from "./service.ts";

describe.skipIf(!hasChromium)("the console", () => {
  let kedge: Console;
  const windows: Window[] = [];
  beforeAll(async () => {
    kedge = await startConsole();
  });
  afterAll(async () => await kedge?.close());

  /** Whatever a test does: nothing against the policy, nothing from elsewhere, nothing kept. */
  afterEach(async () => {
    for (const { context, page, wrong } of windows.splice(0)) {
      if (!page.isClosed() && page.url().startsWith(kedge.url)) expect(await keptIn(page)).toEqual(NOTHING);
      await context.close();
      expect(wrong).toEqual([]);
    }
  });
  const open = async (...options: Parameters<Console["open"]>) => {
    const window = await kedge.open(...options);
    windows.push(window);
    return window;
  };
  const signedIn = async (...options: Parameters<Console["signedIn"]>) => {
    const window = await kedge.signedIn(...options);
    windows.push(window);
    return window;
  };

  /** As from elsewhere: the window does not know. */
  const endSession = async (authorization: string) => {
    const answer = await fetch(`${kedge.url}/v1/session`, { method: "DELETE", headers: { authorization } });
    expect(answer.status).toBe(204);
  };

  test("a start link signs in once, and is gone from the address and the history at once", async () => {
    const { page } = await open();
    const link = await kedge.startLink();
    await page.goto(link);
    await page.getByRole("heading", { level: 1, name: "Logs" }).waitFor();
    expect(page.url()).toBe(`${kedge.url}/`);
    await page.getByRole("rowheader").first().waitFor();

    const second = (await open()).page;
    await second.goto(link);
    expect(await second.getByRole("alert").textContent()).toContain("This link is not valid");
    await second.goBack().catch(() => undefined);
    expect(second.url()).not.toContain("start=");
  });

  test("a link that is followed before the page was painted counts", async () => {
    const { page } = await open();
    await page.addInitScript(`new MutationObserver((_, observer) => {
      const link = document.querySelector("nav.pages a[href='#/about']");
      if (link === null) return;
      observer.disconnect();
      link.click();
    }).observe(document, { childList: true, subtree: true })`);
    await page.goto(await kedge.startLink());
    await page.getByRole("heading", { level: 1, name: "About" }).waitFor();
  });

  test("a page that is loaded anew is signed out: nothing is kept", async () => {
    const { page } = await signedIn();
    await page.reload();
    await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
  });

  test("a sign-out ends the session at the service too", async () => {
    const { page } = await signedIn();
    const [asked] = await Promise.all([
      page.waitForRequest((request) => request.method() === "DELETE"),
      page.getByRole("button", { name: "Sign out" }).click(),
    ]);
    await page.getByText("You are signed out.").waitFor();
    const authorization = (await asked.allHeaders())["authorization"] ?? "";
    expect(authorization).toMatch(/^Bearer kedgesession_/);
    const after = await fetch(`${kedge.url}/v1/session`, { headers: { authorization } });
    expect(after.status).toBe(401);
  });

  test("what was asked before a sign-out is not asked again by who signs in next", async () => {
    const { page } = await signedIn();
    let answer = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let asked = 0;
    await page.route("**/v1/keys", async (route) => {
      if (route.request().method() !== "POST") return await route.continue();
      asked += 1;
      await held;
      const problem = { type: "about:blank", title: "Unauthorized", status: 401, code: "unauthorized" };
      await route.fulfill({ status: 401, contentType: "application/problem+json", json: problem });
    });
    await page.getByRole("link", { name: "API keys" }).click();
    await page.getByLabel("Name").fill("of the one before");
    await Promise.all([
      page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/v1/keys")),
      page.getByRole("button", { name: "Make the key" }).click(),
    ]);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Link").fill(await kedge.startLink());
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { level: 1, name: "API keys" }).waitFor();
    const [answered] = await Promise.all([
      page.waitForResponse((response) => response.status() === 401 && response.url().endsWith("/v1/keys")),
      answer(),
    ]);
    await answered.finished();
    // What would be asked again is asked before the page has gone on.
    await page.getByRole("link", { name: "About" }).click();
    await page.getByRole("heading", { level: 1, name: "About" }).waitFor();
    expect(asked).toBe(1);
  });

  test("an API key is made, shown once, and revoked at once", async () => {
    const { page } = await signedIn();
    await page.getByRole("link", { name: "API keys" }).click();
    await page.getByLabel("Name").fill("a forwarder");
    await page.getByLabel("read the log and its proofs").check();
    await page.getByRole("button", { name: "Make the key" }).click();
    const secret = await page.getByRole("textbox", { name: "API key" }).inputValue();
    expect(secret).toMatch(/^kedge_[a-z2-7]{25}_[a-z2-7]{52}$/);
    const logs = () => fetch(`${kedge.url}/v1/logs`, { headers: { authorization: `Bearer ${secret}` } });
    expect((await logs()).status).toBe(200);
    // Not by a slip: it is shown once.
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "I have copied it" }).click();
    expect(await page.content()).not.toContain(secret);

    await page.getByRole("button", { name: "Revoke “a forwarder”" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    expect((await logs()).status).toBe(200);
    await page.getByRole("button", { name: "Revoke “a forwarder”" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("row", { name: /a forwarder.*revoked/ }).waitFor();
    expect((await logs()).status).toBe(401);
  });

  test("a viewer link opens one log in another profile, read only, until it is revoked", async () => {
    const { page } = await signedIn();
    await page.getByRole("link", { name: "Viewer links" }).click();
    await page.getByLabel("For whom").fill("Brandt, external audit");
    await page.getByRole("button", { name: "Make the link" }).click();
    const link = await page.getByRole("textbox", { name: "Viewer link" }).inputValue();
    expect(link).toMatch(/\/#link=[a-z2-7]{42}_[a-z2-7]{52}$/);
    await page.getByRole("button", { name: "I have copied it" }).click();

    const viewer = (await open()).page;
    await viewer.goto(link);
    await viewer.getByRole("heading", { level: 1, name: "Logs" }).waitFor();
    expect(viewer.url()).toBe(`${kedge.url}/`);
    expect(await viewer.getByRole("rowheader").count()).toBe(1);
    const pages = await viewer.getByRole("navigation", { name: "Pages" }).getByRole("link").allTextContents();
    expect(pages).toEqual(["Logs", "Prove records", "About"]);

    await page.getByRole("button", { name: "Revoke “Brandt, external audit”" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("row", { name: /Brandt.*revoked/ }).waitFor();
    // Whoever is in by it is out, and is told so where they are.
    await viewer.getByRole("rowheader").getByRole("link").click();
    await viewer.getByRole("dialog", { name: "Your session has ended" }).waitFor();
    const late = (await open()).page;
    await late.goto(link);
    expect(await late.getByRole("alert").textContent()).toContain("This link is not valid");
  });

  test("a session that has ended is opened again in place, and the question is asked again", async () => {
    const { page } = await signedIn();
    const authorization = page
      .waitForRequest((request) => request.url().endsWith("/v1/keys"))
      .then((it) => it.allHeaders());
    await page.getByRole("link", { name: "API keys" }).click();
    await page.getByLabel("Name").fill("kept while signing in again");
    await endSession((await authorization)["authorization"] ?? "");
    const dialog = page.getByRole("dialog", { name: "Your session has ended" });
    await page.getByRole("button", { name: "Make the key" }).click();
    await dialog.waitFor();
    // Given up: nothing is lost, and nothing is made.
    await page.keyboard.press("Escape");
    await page.getByText("You are not signed in any more.").waitFor();
    await page.getByRole("button", { name: "Make the key" }).click();
    await dialog.waitFor();
    await dialog.getByLabel("Link").fill(await kedge.startLink());
    await dialog.getByRole("button", { name: "Sign in" }).click();
    expect(await page.getByRole("textbox", { name: "API key" }).inputValue()).toMatch(/^kedge_/);
    await page.getByRole("button", { name: "I have copied it" }).click();
    await page.getByRole("row", { name: /kept while signing in again/ }).waitFor();
  });

  test("in place nobody else signs in: the session of another account is ended again", async () => {
    const { page } = await signedIn();
    const asked = page
      .waitForRequest((request) => request.url().endsWith("/v1/links"))
      .then((it) => it.allHeaders());
    await page.getByRole("link", { name: "Viewer links" }).click();
    const authorization = (await asked)["authorization"] ?? "";
    await page.getByLabel("For whom").fill("another account");
    await page.getByRole("button", { name: "Make the link" }).click();
    const link = await page.getByRole("textbox", { name: "Viewer link" }).inputValue();
    await page.getByRole("button", { name: "I have copied it" }).click();
    await endSession(authorization);
    await page.getByRole("link", { name: "API keys" }).click();
    const dialog = page.getByRole("dialog", { name: "Your session has ended" });
    const ended = page.waitForResponse((answer) => answer.request().method() === "DELETE");
    await dialog.getByLabel("Link").fill(link);
    await dialog.getByRole("button", { name: "Sign in" }).click();
    expect((await ended).status()).toBe(204);
    expect(await dialog.getByRole("alert").textContent()).toContain("That is another account");
    await dialog.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
  });

  test("in place of a viewer nobody signs in by another link, though it is of the same log", async () => {
    const { page } = await signedIn();
    const links: string[] = [];
    await page.getByRole("link", { name: "Viewer links" }).click();
    for (const name of ["one viewer", "another viewer"]) {
      await page.getByLabel("For whom").fill(name);
      await page.getByRole("button", { name: "Make the link" }).click();
      links.push(await page.getByRole("textbox", { name: "Viewer link" }).inputValue());
      await page.getByRole("button", { name: "I have copied it" }).click();
    }
    const [one = "", another = ""] = links;
    const viewer = (await open()).page;
    await viewer.goto(one);
    await viewer.getByRole("heading", { level: 1, name: "Logs" }).waitFor();
    await page.getByRole("button", { name: "Revoke “one viewer”" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("row", { name: /one viewer.*revoked/ }).waitFor();
    await viewer.getByRole("rowheader").getByRole("link").click();
    const dialog = viewer.getByRole("dialog", { name: "Your session has ended" });
    await dialog.getByLabel("Link").fill(another);
    await dialog.getByRole("button", { name: "Sign in" }).click();
    expect(await dialog.getByRole("alert").textContent()).toContain("That is another account");
  });

  test("a link that is opened where somebody is signed in changes nothing, and leaves the address", async () => {
    const { page } = await signedIn();
    const link = await kedge.startLink();
    await page.evaluate(`location.hash = ${JSON.stringify(new URL(link).hash)}`);
    await page.getByText("You are signed in already").waitFor();
    expect(page.url()).toBe(`${kedge.url}/`);
    expect(await page.getByRole("navigation", { name: "Pages" }).count()).toBe(1);
  });

  test("one log: its stages, its timeline as pictures and as a table, its witnesses", async () => {
    const { page } = await signedIn();
    await page.getByRole("rowheader").getByRole("link").first().click();
    await page.getByRole("img", { name: /Growth of the log to 500 entries/ }).waitFor();
    await page.getByRole("row", { name: /Anchored.*500/ }).waitFor();
    await page
      .getByRole("img", { name: /How long the oldest entry of each checkpoint had waited/ })
      .waitFor();
    await page.getByText(/waited for \d+ (second|minute)s? at most/).waitFor();
    await page.getByText("The same as a table").click();
    await page
      .getByRole("table", { name: "Checkpoints of the log" })
      .getByRole("row", { name: /UTC.* 500 \d+ (second|minute)s? .*UTC/ })
      .waitFor();
    await page.getByText("This service's policy requires no witness.").waitFor();
    await screen(page, "console-log");
  });

  test("a log's past is told as it was kept, and what is unknown as unknown", async () => {
    const { page } = await signedIn();
    await page.route("**/timeline", (route) => route.fulfill({ json: PAST }));
    await page.getByRole("rowheader").getByRole("link").first().click();
    await page.getByText(/waited for 47 minutes at most, for the checkpoint of 3 Nov 2026/).waitFor();
    await page.getByText(/Of 2 checkpoints it is unknown/).waitFor();
    await page
      .getByRole("img", { name: /cosigned and timestamped, by w1.example, w2.example, RFC 3161 and Open/ })
      .waitFor();
    await page.getByText("60 of them are shown").waitFor();
    await page.getByText("The same as a table").click();
    const rows = page.getByRole("table", { name: "Checkpoints of the log" }).getByRole("row");
    expect(await rows.count()).toBe(1 + 60);
    expect(await rows.nth(1).textContent()).toMatch(
      /^1 Nov 2026.*UTC\+11,000unknown1 Nov.*not by today's policyw1\.example: 1 Nov/,
    );
    expect(await rows.last().textContent()).toMatch(/UTC\+1120,0003 secondsnot yetnot yetnot yet$/);
    expect(await rows.nth(30).textContent()).toMatch(/OpenTimestamps: unknown$/);

    const lagless = PAST.checkpoints.map(({ pendingSince: _, ...checkpoint }) => checkpoint);
    await page.route("**/timeline", (route) => route.fulfill({ json: { ...PAST, checkpoints: lagless } }));
    await page.getByRole("button", { name: "Refresh" }).click();
    await page.getByText("How long the entries of these checkpoints had waited is unknown.").waitFor();
    await page.getByRole("img", { name: /waited/ }).waitFor({ state: "detached" });
  });

  test("the trail is read as any trail, and each row is checked by its proof", async () => {
    const { page } = await signedIn();
    await page.getByRole("link", { name: "Trail", exact: true }).click();
    await page
      .getByRole("row", { name: /Administrator.*Signed in/ })
      .first()
      .waitFor();
    const rows = page.locator("button.verdict");
    const places = async () =>
      await Promise.all((await rows.all()).map(async (row) => (await row.boundingBox())?.y));
    const before = await places();
    // A proof shows a time once the tree of its entry is anchored: the newest row's is the last.
    await expect
      .poll(
        async () => {
          await page.getByRole("button", { name: "Check these rows" }).click();
          // Beside the button it stands once all is told; the page's announcements keep the last one's.
          await page.locator(".hint", { hasText: /\d+ unchanged/ }).waitFor();
          const told = await page.locator("tr.opened").allTextContents();
          return told.filter((text) => !/^This record.*at or before \d+ \w+ 20\d\d/.test(text));
        },
        { timeout: 120_000, interval: 1_000 },
      )
      .toEqual([]);
    // Nothing moved away from under a pointer.
    expect(await places()).toEqual(before);
    expect(new Set(await rows.allTextContents())).toEqual(new Set(["Unchanged"]));
    // What was found is said in the reader's language, whichever it was found in.
    await page.getByRole("button", { name: "Deutsch" }).click();
    await page.locator(".hint", { hasText: /\d+ unverändert/ }).waitFor();
    expect(await page.getByText(/\d+ unchanged/).count()).toBe(0);
    await page.getByRole("button", { name: "English" }).click();
    // What is told of a row stands below it, in the whole width, with the event as people read it.
    await rows.first().click();
    expect(await rows.first().getAttribute("aria-expanded")).toBe("true");
    const opened = page.locator("tr.opened:visible");
    await opened.getByText(/at or before \d+ \w+ 20\d\d/).waitFor();
    expect(await opened.locator("pre").textContent()).toMatch(/^{\n {2}"action": "\w",\n/);
    const [below, table] = await Promise.all([opened.boundingBox(), page.locator("table").boundingBox()]);
    expect(below?.width).toBe(table?.width);
    await screen(page, "console-trail-checked");
  });

  test("a row of the trail that was changed on the way is told to be changed", async () => {
    const { page } = await signedIn();
    await page.route(/\/v1\/trail/, async (route) => {
      const answer = await route.fetch();
      const body = (await answer.text()).replaceAll("Signed in", "Signed on");
      await route.fulfill({ response: answer, body });
    });
    await page.getByRole("link", { name: "Trail", exact: true }).click();
    await page.getByRole("button", { name: "Check these rows" }).click();
    await page.locator("button.verdict.changed").first().waitFor();
    expect(await page.locator("button.verdict.changed").first().textContent()).toBe(
      "Changed, or never logged",
    );
  });

  test("the trail's two files are what the command verifies", async () => {
    const { page } = await signedIn();
    await page.getByRole("link", { name: "Trail", exact: true }).click();
    const saved = async (button: string) => {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: button }).click(),
      ]);
      const path = join(kedge.cwd, download.suggestedFilename());
      await download.saveAs(path);
      return path;
    };
    const { log, vkey } = await trailLog(page);
    const events = await saved("Download the events (NDJSON)");
    const openings = await saved("Download what opens them (NDJSON)");
    const proofs = join(kedge.cwd, "proofs");
    await expect
      .poll(
        async () => await kedge.command("proof", openings, "--log", log, "--log-vkey", vkey, "--out", proofs),
        { timeout: 120_000, interval: 1_000 },
      )
      .toMatchObject({ code: 0 });
    const verified = await kedge.command("verify", events, proofs, "--log-vkey", vkey);
    expect(verified).toMatchObject({ code: 0, out: expect.stringMatching(/^PROVEN/) });
  });

  test("a review that was signed off is in the list of reviews", async () => {
    const { page } = await signedIn();
    const { id, authorization } = await firstLog(page);
    const root = "5a".repeat(32);
    const answer = await fetch(`${kedge.url}/v1/logs/${id}/reviews`, {
      ...{ method: "POST", headers: { authorization, "content-type": "application/json" } },
      body: JSON.stringify({
        ...{ commitment: "a5".repeat(32), from: "2026-03-01T00:00:00Z", filter: ["patient", "afterHours"] },
        ...{ count: 1234, root },
      }),
    });
    expect(answer.status).toBe(202);
    await page.getByRole("link", { name: "Reviews" }).click();
    const row = page.getByRole("row", { name: new RegExp(root) });
    await row.waitFor();
    await page.getByRole("columnheader", { name: "Signed in as", exact: true }).waitFor();
    expect(await row.textContent()).toMatch(/audit.*from .*2026.*patient and after hours.*1,234/);
  });

  test("a log that was made meanwhile is listed when the logs are shown again, and a failure takes no page away", async () => {
    const { page } = await signedIn();
    const { authorization } = await firstLog(page);
    const answer = await fetch(`${kedge.url}/v1/logs`, {
      ...{ method: "POST", headers: { authorization, "content-type": "application/json" } },
      body: JSON.stringify({ name: "made meanwhile" }),
    });
    expect(answer.status).toBe(201);
    await page.getByRole("link", { name: "About" }).click();
    await page.route("**/v1/logs", (route) => route.abort());
    await page.getByRole("link", { name: "Logs", exact: true }).click();
    const alert = page.getByRole("alert");
    await alert.getByText("The service cannot be reached").waitFor();
    expect(await page.getByRole("rowheader").count()).toBeGreaterThan(0);
    await page.unroute("**/v1/logs");
    await alert.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("rowheader", { name: "made meanwhile" }).waitFor();
    expect(await alert.count()).toBe(0);
  });

  test("before the session ends it says so", async () => {
    const { page } = await open();
    await page.clock.install();
    let expiresAt = "";
    await page.route(/\/v1\/sign-in$/, async (route) => {
      const response = await route.fetch();
      ({ expiresAt } = z.object({ expiresAt: z.string() }).parse(await response.json()));
      await route.fulfill({ response });
    });
    await page.goto(await kedge.startLink());
    await page.locator("nav.pages").waitFor();
    expect(await page.getByRole("button", { name: "Sign in again" }).count()).toBe(0);
    await page.clock.fastForward(Date.parse(expiresAt) - Date.now() - 4 * 60_000);
    await page.getByRole("button", { name: "Sign in again" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Link").fill(await kedge.startLink());
    await dialog.getByRole("button", { name: "Sign in" }).click();
    await dialog.waitFor({ state: "detached" });
  });

  test("where the service cannot be reached it says so, and goes on once it can", async () => {
    const { page, context } = await signedIn();
    await page.getByRole("link", { name: "API keys" }).click();
    await page.getByRole("heading", { level: 1, name: "API keys" }).waitFor();
    await context.setOffline(true);
    await page.getByRole("link", { name: "Viewer links" }).click();
    await page.getByText("The service cannot be reached").waitFor();
    await context.setOffline(false);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("The service cannot be reached").waitFor({ state: "detached" });
  });

  describe("with an identity provider", () => {
    let provider: Awaited<ReturnType<typeof startProvider>>;
    let tenant = "";
    beforeAll(async () => {
      const accounts = {
        priya: { name: "Priya Raman", groups: ["compliance"] },
        noor: { name: "Noor Haddad", groups: ["ward-7"] },
      };
      provider = await startProvider(accounts, [`${kedge.url}/`]);
      provider.start(newKey("k1"));
      tenant = await kedge.tenant();
      const registered = await kedge.command(
        ...["tenant", "sign-in", tenant, "--issuer", provider.issuer, "--client-id", "console"],
        ...["--claim", "groups", "--role", "compliance=officer"],
      );
      expect(registered).toMatchObject({ code: 0 });
    });
    afterAll(async () => await provider?.close());

    /** The provider knows who sits there. */
    const knownThere = async (login: "priya" | "noor" = "priya") => {
      const window = await open({}, provider.issuer);
      await window.context.route(`${provider.issuer}/auth?*`, (route) =>
        route.continue({ url: `${route.request().url()}&login_hint=${login}` }),
      );
      return window;
    };
    const goThere = async (page: Page) => {
      await page.getByLabel("Organisation's id").fill(tenant);
      await page.getByRole("button", { name: "Continue" }).click();
    };

    test("a person signs in there, with PKCE, and nothing of it stays in the address", async () => {
      const { page } = await knownThere();
      await page.goto(`${kedge.url}/#/trail`);
      const asked = page.waitForRequest((request) => request.url().startsWith(`${provider.issuer}/auth?`));
      const exchanged = page.waitForRequest((request) => request.url().includes(`/v1/sign-in/${tenant}`));
      await goThere(page);
      const query = new URL((await asked).url()).searchParams;
      expect(Object.fromEntries(query)).toMatchObject({
        ...{ response_type: "code", code_challenge_method: "S256", redirect_uri: `${kedge.url}/` },
        code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      });
      await page.getByText("Priya Raman").waitFor();
      await exchanged;
      expect(page.url()).toBe(`${kedge.url}/#/trail`);
      await page.goBack().catch(() => undefined);
      expect(page.url()).not.toContain("code=");
    });

    test("who has no role here is told so, and not to try again", async () => {
      const { page } = await knownThere("noor");
      await page.goto(kedge.url);
      await goThere(page);
      await page.getByText("you have no role here").waitFor();
      expect(await page.getByText("Try again").count()).toBe(0);
    });

    test("what a person did not begin here signs nobody in (login CSRF)", async () => {
      const { page, context } = await knownThere();
      const asked: string[] = [];
      page.on("request", (request) => asked.push(`${request.method()} ${new URL(request.url()).pathname}`));
      for (const query of [
        "code=stolen&state=foreign",
        "code=stolen&state=w.foreign",
        "error=access_denied&state=x",
      ]) {
        await page.goto(`${kedge.url}/?${query}`);
        await page.getByText(/this sign-in was not begun in this window|You are signed in/).waitFor();
        expect(page.url()).toBe(`${kedge.url}/`);
      }
      // Nor when this window began another one.
      await page.goto(kedge.url);
      await context.route(`${provider.issuer}/auth?*`, (route) =>
        route.fulfill({ status: 302, headers: { location: `${kedge.url}/?code=stolen&state=foreign` } }),
      );
      await goThere(page);
      await page.getByText("this sign-in was not begun in this window").waitFor();
      expect(asked.filter((what) => what.startsWith("POST"))).toEqual([]);
    });

    test("a person signs in again in a window of its own, and the page stays as it was", async () => {
      const { page, context } = await knownThere();
      await page.goto(kedge.url);
      await goThere(page);
      await page.getByText("Priya Raman").waitFor();
      const asked = page
        .waitForRequest((request) => request.url().includes("/v1/links"))
        .then((it) => it.allHeaders());
      await page.getByRole("link", { name: "Viewer links" }).click();
      const authorization = (await asked)["authorization"] ?? "";
      await page.getByLabel("For whom").fill("made after signing in again");
      await endSession(authorization);
      await page.getByRole("button", { name: "Make the link" }).click();
      const dialog = page.getByRole("dialog", { name: "Your session has ended" });
      const popup = context.waitForEvent("page");
      await dialog.getByLabel("Organisation's id").fill(tenant);
      await dialog.getByRole("button", { name: "Continue" }).click();
      const other = await popup;
      expect(await page.getByRole("textbox", { name: "Viewer link" }).inputValue()).toContain("#link=");
      await page.getByRole("button", { name: "I have copied it" }).click();
      if (!other.isClosed()) expect(other.url()).toBe(`${kedge.url}/`);
    });
  });

  describe("whoever reads it", () => {
    const PLACES = ["", "#/logs", "#/prove", "#/keys", "#/links", "#/reviews", "#/trail", "#/about"] as const;
    const SIZES = {
      light: { colorScheme: "light", viewport: { width: 1280, height: 900 } },
      dark: { colorScheme: "dark", viewport: { width: 1280, height: 900 } },
      small: { colorScheme: "light", viewport: { width: 320, height: 640 }, locale: "de-DE" },
      large: { colorScheme: "dark", viewport: { width: 3840, height: 2160 }, locale: "de-DE" },
    } as const;

    test.each(keysOf(SIZES))("has pages without barriers, %s", async (size) => {
      const { page, wrong } = await signedIn(SIZES[size]);
      await page.getByRole("rowheader").first().waitFor();
      const log = await page.getByRole("rowheader").getByRole("link").first().getAttribute("href");
      for (const place of [...PLACES.slice(1), log ?? ""]) {
        await page.evaluate(`location.hash = ${JSON.stringify(place)}`);
        await isShown(page, place);
        await expectNoBarriers(page, `${place} ${size}`);
        const times = await page.locator("main:visible time").allTextContents();
        expect(times.filter((time) => !/ UTC([+-]\d{1,2}(:\d\d)?)?$/.test(time))).toEqual([]);
        await screen(page, `console-${place.split("/")[1]}${place === log ? "-one" : ""}-${size}`);
      }
      const stranger = await open(SIZES[size]);
      await stranger.page.goto(kedge.url);
      await stranger.page.getByRole("heading", { level: 1 }).waitFor();
      await expectNoBarriers(stranger.page, `sign-in ${size}`);
      await screen(stranger.page, `console-sign-in-${size}`);
      expect(wrong).toEqual([]);
    });

    test.each(keysOf(SIZES))("has a log's past without barriers, %s", async (size) => {
      const { page } = await signedIn(SIZES[size]);
      await page.route("**/timeline", (route) => route.fulfill({ json: PAST }));
      await page.getByRole("rowheader").getByRole("link").first().click();
      await expect.poll(() => page.locator(".chart canvas").count(), { timeout: 20_000 }).toBe(3);
      await page.locator("details summary", { hasText: /table|Tabelle/ }).click();
      await expectNoBarriers(page, `a log's past ${size}`);
      await screen(page, `console-past-${size}`);
    });

    test("needs no mouse: signs in, makes an API key and copies it, goes on", async () => {
      const { page } = await open();
      await page.goto(kedge.url);
      await page.getByLabel("Link").waitFor();
      const link = await kedge.startLink();
      await tabTo(page, "link");
      await page.keyboard.insertText(link);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { level: 1, name: "Logs" }).waitFor();
      // A page's heading has the focus once it was painted.
      await hasFocus(page, "tagName", "H1");
      await tabTo(page, "API keys", "Shift+Tab");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { level: 1, name: "API keys" }).waitFor();
      await hasFocus(page, "textContent", "API keys");
      await page.getByLabel("Name").waitFor();
      await tabTo(page, "name");
      await page.keyboard.insertText("by keyboard");
      await page.keyboard.press("Enter");
      await page.getByRole("dialog").waitFor();
      expect(await page.evaluate("document.activeElement.closest('dialog') !== null")).toBe(true);
      await tabTo(page, "I have copied it");
      await page.keyboard.press("Enter");
      await page.getByRole("dialog").waitFor({ state: "detached" });
      await page.getByRole("row", { name: /by keyboard/ }).waitFor();
      // The first stop of every page leads past what is above it.
      await page.reload();
      await page.goto(await kedge.startLink());
      await page.getByRole("heading", { level: 1, name: "Logs" }).waitFor();
      await hasFocus(page, "tagName", "H1");
      await page.evaluate("document.querySelector('.skip').focus()");
      await page.keyboard.press("Enter");
      expect(await page.evaluate("document.activeElement.tagName")).toBe("MAIN");
    });

    test("switches to German, and back", async () => {
      const { page } = await signedIn();
      await page.getByRole("button", { name: "Deutsch" }).click();
      await page.getByText("An jedes Log wird nur angehängt.").waitFor();
      // Logs of Kedge's own too, wherever one is chosen, and those of the organisation by their own names.
      await page.getByRole("rowheader", { name: "Kedges eigener Prüfpfad" }).waitFor();
      await page.getByRole("link", { name: "Einträge beweisen" }).click();
      const choice = page.getByLabel("Log", { exact: true });
      await choice.getByRole("option", { name: "Kedges eigener Prüfpfad" }).waitFor({ state: "attached" });
      expect(await choice.textContent()).not.toContain("Kedge's own trail");
      await page.getByRole("link", { name: "Logs", exact: true }).click();
      expect(await page.evaluate("document.documentElement.lang")).toBe("de");
      await page.getByRole("button", { name: "English" }).click();
      await page.getByText("An jedes Log wird nur angehängt.").waitFor({ state: "detached" });
    });

    test("what went wrong is told in the language that is chosen then", async () => {
      const { page } = await open();
      await page.goto(`${kedge.url}/?code=stolen&state=foreign`);
      await page.getByText("this sign-in was not begun in this window").waitFor();
      await page.getByLabel("Link").fill("none");
      await page.getByRole("button", { name: "Sign in" }).click();
      expect(await page.getByRole("alert").count()).toBe(2);
      await page.getByRole("button", { name: "Deutsch" }).click();
      const said = await page.getByRole("alert").allTextContents();
      expect(said.join("\n")).toMatch(/nicht in diesem Fenster begonnen.*Das ist weder ein Leselink/s);
    });
  });
});

/** Of a log with more checkpoints than are told: one an hour, the first two from before a restore, the first under another policy. */
const PAST = {
  isSampled: true,
  checkpoints: Array.from({ length: 60 }, (_, i) => {
    const sealed = Date.parse("2026-11-01T08:00:00Z") + i * 3_600_000;
    const after = (minutes: number) => new Date(sealed + minutes * 60_000).toISOString();
    const waited = i === 42 ? 47 : 0.05 * (1 + ((i * 7) % 30));
    const isCovered = i < 58;
    return {
      size: i < 20 ? 1_000 * (i + 1) : 20_000 + 2_500 * (i - 19),
      ...(i >= 2 && { pendingSince: after(i === 59 ? -0.05 : -waited) }),
      sealedAt: after(0),
      ...(isCovered && { anchoredAt: after(1), ...(i > 0 && { witnessedAt: after(2) }) }),
      cosignatures: isCovered
        ? [
            { witness: "w1.example", at: after(1.5) },
            ...(i % 9 < 6 ? [{ witness: "w2.example", at: after(1.6) }] : []),
          ]
        : [],
      timestamps: isCovered
        ? [{ type: "rfc3161", at: after(60 - (i % 4) * 15) }, ...(i % 10 === 9 ? [{ type: "ots" }] : [])]
        : [],
    };
  }),
};

/** What the page itself was answered. */
async function firstLog(page: Page): Promise<{ id: string; authorization: string }> {
  const href = await page.getByRole("rowheader").getByRole("link").first().getAttribute("href");
  const id = href?.split("/").at(-1) ?? "";
  await page.getByRole("link", { name: "About" }).click();
  const asked = page.waitForRequest((request) => request.url().endsWith(`/${id}/progress`));
  await page.getByRole("link", { name: "Logs", exact: true }).click();
  const request = await asked;
  return { id, authorization: (await request.allHeaders())["authorization"] ?? "" };
}

/** As its page shows it. */
async function trailLog(page: Page): Promise<{ log: string; vkey: string }> {
  await page.getByRole("link", { name: "Logs", exact: true }).click();
  await page.getByRole("link", { name: "Kedge's own trail" }).click();
  const vkey = (await page.locator("dd.code").last().textContent()) ?? "";
  const log = page.url().split("/").at(-1) ?? "";
  await page.getByRole("link", { name: "Trail", exact: true }).click();
  return { log, vkey };
}

function keysOf<Key extends string>(of: Readonly<Record<Key, unknown>>): Key[] {
  const keys: Key[] = [];
  for (const key in of) keys.push(key);
  return keys;
}

/** Until this page of the console is there, with what it asks for. */
async function isShown(page: Page, place: string): Promise<void> {
  const [, name = ""] = place.split("/");
  await page.locator(`nav.pages a[aria-current=page][href="#/${name}"]`).waitFor();
  await page.locator("main h1:visible").waitFor();
  await expect
    .poll(() => page.locator("main:visible").innerText(), { timeout: PATIENCE })
    .not.toMatch(/Loading …|Wird geladen …/);
}

const hasFocus = (page: Page, of: "tagName" | "textContent", is: string) =>
  expect.poll(() => page.evaluate(`document.activeElement.${of}`), { timeout: PATIENCE }).toBe(is);

/** Until what has the focus is called so, by its name attribute or its text. */
async function tabTo(page: Page, name: string, key = "Tab"): Promise<void> {
  const focused: unknown[] = [];
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press(key);
    const on = await page.evaluate("document.activeElement.name || document.activeElement.textContent");
    focused.push(on);
    if (on === name) return;
  }
  throw new Error(`${name} is not reached by ${key}: ${focused.join(", ")}`);
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** WCAG 2.2 AA as far as axe can tell, and no sideways scrolling (1.4.10). */
async function expectNoBarriers(page: Page, where: string): Promise<void> {
  await page.evaluate(AXE);
  const found = await page.evaluate(
    `axe.run({ runOnly: ${JSON.stringify(RULES)} }).then(({ violations }) =>
      violations.map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html).join(" | ").slice(0, 500)))`,
  );
  expect([where, found]).toEqual([where, []]);
  const wider = await page.evaluate(
    "document.documentElement.scrollWidth - document.documentElement.clientWidth",
  );
  expect([where, wider]).toEqual([where, 0]);
  // Targets of 24 pixels (2.5.8), and at 320 pixels no column that lies out of sight.
  const hidden = await page.evaluate(`(() => {
    const isSmall = (element) => {
      const { width, height } = element.getBoundingClientRect();
      return element.checkVisibility() && !element.matches(".skip") && Math.min(width, height) < 24;
    };
    const small = [...document.querySelectorAll("button, input, select, textarea, summary")].filter(isSmall);
    const wide = [...document.querySelectorAll(".scroll")].filter(
      (element) => innerWidth === 320 && element.scrollWidth > element.clientWidth,
    );
    return [...small, ...wide].map(({ outerHTML }) => outerHTML.slice(0, 200));
  })()`);
  expect([where, hidden]).toEqual([where, []]);
}

/** What a browser can keep for a page. As text: tests have no types of a browser. */
const keptIn = (page: Page): Promise<unknown> =>
  page.evaluate(`(async () => ({
    local: Object.keys(localStorage),
    session: Object.keys(sessionStorage),
    databases: (await indexedDB.databases()).map(({ name }) => name),
    cookies: document.cookie,
    caches: await caches.keys(),
  }))()`);
const NOTHING = { local: [], session: [], databases: [], cookies: "", caches: [] };
