/** Start links: what `npm start` prints, and `kedge sign-in`. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPeople, openSignIn } from "@kedge/cli/client/people";
import { afterAll, beforeAll, expect, test } from "vitest";
import { addressIn, serve, stop } from "../support/serve.ts";
import { kedge } from "./run.ts";

let folder: string;
let running: Awaited<ReturnType<typeof serve>>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kedge-sign-in-"));
  running = await serve({ cwd: folder, data: "data" });
});
afterAll(async () => {
  await stop(running.child, "SIGTERM");
  await rm(folder, { recursive: true });
});

const START = /(http:\S+)\/#start=(\S+)/;
const run = (...args: string[]) => kedge(args, { cwd: folder, env: { KEDGE_DATA: "data" } });

test("the printed link signs in an administrator once, and another is printed on demand", async () => {
  const [, url = "", text = ""] = START.exec(running.output) ?? [];
  expect(url).toBe(addressIn(running.output));
  const signedIn = await openSignIn({ url }).byStart(text);
  expect(signedIn).toMatchObject({ tenant: { name: "Demo Hospital" }, role: "administrator" });
  await expect(openSignIn({ url }).byStart(text)).rejects.toMatchObject({ code: "unauthorized" });

  const printed = await run("sign-in");
  const [, , next = ""] = START.exec(printed.out) ?? [];
  expect(printed.code).toBe(0);
  const second = await openSignIn({ url }).byStart(next);
  const people = openPeople({ url, apiKey: second.token });
  expect((await people.session()).tenant.id).toBe(signedIn.tenant.id);
  await people.signOut();
  await expect(people.session()).rejects.toMatchObject({ code: "unauthorized" });

  // None of the secrets is anywhere in the folder. What runs writes and renames while it is read, so it is stopped.
  await stop(running.child, "SIGTERM");
  const names = await readdir(join(folder, "data"), { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const secret of [text, next, signedIn.token].map((each) => each.split("_").at(-1) ?? "none")) {
    for (const file of files) expect([file, (await readFile(file)).includes(secret)]).toEqual([file, false]);
  }
  running = await serve({ cwd: folder, data: "data" });
});

test("a link is refused for a tenant that is not there, and where nothing is served", async () => {
  const absent = await run("sign-in", "a".repeat(16));
  expect([absent.code, absent.err]).toEqual([1, expect.stringMatching(/no such tenant/)]);
  const unserved = await run("sign-in", "--data", "elsewhere");
  expect([unserved.code, unserved.err]).toEqual([1, expect.stringMatching(/nothing answers/)]);
});

test("no link is made where the port is open to other machines", async () => {
  await stop(running.child, "SIGTERM");
  running = await serve({ cwd: folder, data: "data", args: ["--host", "0.0.0.0"] });
  expect(running.output).toContain("running again");
  expect(running.output).not.toMatch(START);
  const refused = await run("sign-in");
  expect([refused.code, refused.err]).toEqual([2, expect.stringMatching(/open to other machines/)]);
});
