/** A keyring that is killed while it is written: no key that anybody was told of is lost, and the next one goes on. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openKeyring, rotate } from "@kedge/cli/keys/keyring";
import { beginShred, destroyKey } from "@kedge/cli/keys/shred";
import { expect, test } from "vitest";

const SCRIPT = `
  import { openKeyring, rotate } from "@kedge/cli/keys/keyring";
  const place = { path: process.argv[1], tenantKey: new Uint8Array(32).fill(7) };
  for (let i = 0; i < 80; i++) {
    await rotate(place, Date.now());
    const { epoch, tenantKey } = (await openKeyring(place)).current();
    console.log(epoch + "=" + Buffer.from(tenantKey).toString("hex"));
  }`;

test("kill -9 at any moment of many rotations: each key that was said is there, epoch 0 first of all", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kedge-killed-"));
  const place = { path: join(folder, "keyring.json"), tenantKey: new Uint8Array(32).fill(7) };
  const cwd = fileURLToPath(new URL("../../../..", import.meta.url));
  const said = new Map<number, string>();
  for (let run = 0; run < 8; run++) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", SCRIPT, place.path], {
      ...{ cwd, stdio: ["ignore", "pipe", "inherit"] },
    });
    let text = "";
    const first = new Promise<void>((resolve) => {
      child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        resolve();
      });
      child.on("close", () => resolve());
    });
    const closed = once(child, "close");
    await first;
    // Somewhere in the rotations that follow: the moment is what this is about, not that anything is done by then.
    await sleep(Math.random() * 40);
    child.kill("SIGKILL");
    await closed;
    for (const line of text.slice(0, text.lastIndexOf("\n")).split("\n")) {
      const [epoch, key = ""] = line.split("=");
      said.set(Number(epoch), key);
    }
    const keyring = await openKeyring(place);
    expect(keyring.of(0)?.tenantKey).toEqual(place.tenantKey);
    for (const [epoch, key] of said) {
      expect(Buffer.from(keyring.of(epoch)?.tenantKey ?? []).toString("hex")).toBe(key);
    }
  }
  expect(said.size).toBeGreaterThan(7);
  // And what the last one left half written goes with the key.
  await rotate(place, Date.now());
  await beginShred(place, 0, Date.now());
  await destroyKey(place, 0);
  expect((await openKeyring({ path: place.path })).of(0)).toBeUndefined();
  await rm(folder, { recursive: true });
});
