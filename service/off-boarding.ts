/** A tenant leaves: nobody comes in any more, by whatever door. Its logs and all proofs stay as they are. */
import { endAllSessions } from "./people.ts";
import { revokeAllLinks } from "./people-links.ts";
import { endStart } from "./people-start.ts";
import { removeProvider } from "./sign-in-provider.ts";
import { revokeAllKeys } from "./tenants.ts";
import { type Act, type Actor, recordChange, type TrailContext } from "./trail.ts";

/** @returns how many API keys were revoked, which could still have been used. */
export async function offBoard(ctx: TrailContext, tenant: string, by: Actor): Promise<number> {
  // First what lets people in, then who is in, and last the keys: an administrator who is in makes others.
  await recordChange(ctx, tenant, by, { is: "sign_in_removed" }, async () => {
    await removeProvider(ctx, tenant);
    await revokeAllLinks(ctx, tenant);
    await endStart(ctx, tenant);
    await endAllSessions(ctx, tenant);
  });
  const revoked = (key: string): Act => ({ is: "key_revoked", key });
  return await revokeAllKeys(ctx, tenant, (id, change) => recordChange(ctx, tenant, by, revoked(id), change));
}
