/**
 * Turns at the work of a process that answers several tenants at once: a tenant who asks for much waits behind what they
 * asked for, and nobody else does. On Lambda an instance answers one request at a time, and every turn comes at once.
 */
import { setImmediate as letOthers } from "node:timers/promises";

/** Runs a piece of a tenant's work once it is their turn: first come, first served, among their own. */
export type Turns = <T>(tenant: string, work: () => Promise<T>) => Promise<T>;

/** @param atOnce pieces of one tenant's work that may be under way. */
export function openTurns(atOnce: number): Turns {
  const tenants = new Map<string, { working: number; readonly waiting: (() => void)[] }>();
  return async (tenant, work) => {
    const own = tenants.get(tenant) ?? { working: 0, waiting: [] };
    tenants.set(tenant, own);
    // Who ends hands their turn on, so that nobody comes in between.
    if (own.working >= atOnce) await new Promise<void>((begin) => own.waiting.push(begin));
    else own.working++;
    try {
      // Other tenants' requests are read and answered between any two turns.
      await letOthers();
      return await work();
    } finally {
      const next = own.waiting.shift();
      if (next !== undefined) next();
      else if (--own.working === 0) tenants.delete(tenant);
    }
  };
}
