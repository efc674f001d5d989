/** A restore that is disturbed at every one of its calls, in every way: half a minute, and so not in restore.test.ts. */
import { expect, test } from "vitest";
import { ServiceError } from "../../platform/error.ts";
import { auditWorld } from "../support/audit.ts";
import { publish, restoreAll, rolledBack } from "../support/rolled-back.ts";
import { Died, FAULTS } from "../support/world.ts";

test.each(FAULTS)("a restore whose call %s, at every call, is made good by the next", async (fault) => {
  for (let at = 0; ; at++) {
    const { after, acknowledged } = await rolledBack([20, 3, 30], 1);
    const actor = after.actor([{ at, fault }]);
    await restoreAll(actor).catch((error) => {
      if (!(error instanceof Died || error instanceof ServiceError)) throw error;
    });
    await after.landLate();
    await restoreAll(after.actor());
    acknowledged.push(...(await publish(after.actor(), 9_000, 9_001)));
    expect(auditWorld(after, acknowledged)).toEqual([]);
    if (at >= actor.calls()) break;
  }
});
