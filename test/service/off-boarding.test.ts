/** Off-boarding of a tenant, also while its people work on. */
import { expect, test } from "vitest";
import { offBoard } from "../../service/off-boarding.ts";
import { authenticateSession, openSession } from "../../service/people.ts";
import { createLink, listLinks } from "../../service/people-links.ts";
import { createKey, createLog, createTenant, listKeys } from "../../service/tenants.ts";
import { newWorld } from "../support/world.ts";

test("leaves no key, link or session, though an administrator makes keys for as long as they are let", async () => {
  const actor = newWorld().actor();
  const ctx = { ...actor, domain: "kedge.example", sessionMs: 3_600_000 };
  const { id: tenant } = await createTenant(ctx, "leaving");
  const { id: log } = await createLog(ctx, tenant, "ward 7");
  const holder = { kind: "person", subject: "ana", role: "administrator", logs: "all" } as const;
  const { token, principal } = await openSession(ctx, tenant, holder);
  const day = BigInt(ctx.clock()) + 86_400_000n;
  await createLink(ctx, principal, { name: "an auditor", log, expiresAt: day });
  await createKey(ctx, tenant, { name: "first", scopes: ["write"] });

  let made = 0;
  /** At every step of the operator's. */
  const another = async () => {
    if ((await authenticateSession(ctx, token)) === undefined) return;
    made++;
    await createKey(ctx, tenant, { name: "another", scopes: ["admin"] });
  };
  const { store } = ctx;
  const watched: typeof store = {
    ...store,
    put: async (...args) => {
      await another();
      return store.put(...args);
    },
    write: async (...args) => {
      await another();
      return store.write(...args);
    },
  };
  const revoked = await offBoard({ ...ctx, store: watched }, tenant, { kind: "operator" });

  expect(made).toBeGreaterThan(0);
  expect(revoked).toBe(made + 1);
  expect((await listKeys(ctx, tenant)).filter(({ revokedAt }) => revokedAt === undefined)).toEqual([]);
  expect(await listLinks(ctx, principal)).toEqual([]);
  expect(await authenticateSession(ctx, token)).toBeUndefined();
});
