/** Who asks, and what they may: decided from the principal alone, before anything is read. */
import { LOG_ID, type Scope } from "@kedge/cli/contract/ids";
import { ServiceError } from "../platform/error.ts";

export type Principal = {
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  /** Ids of the only logs that it may use, or every log of its tenant. */
  readonly logs: readonly string[] | "all";
  /** Whom the record names. */
  readonly who: { readonly kind: "api key"; readonly id: string };
};

/** @throws ServiceError `forbidden`, which says nothing of what was asked for. */
export function requireScope({ scopes }: Principal, scope: Scope): void {
  if (scopes.includes(scope)) return;
  throw new ServiceError("forbidden", `This needs an API key with the scope ${scope}.`);
}

/** False also for what is no log's id: it is not worth a read, and may be too long for a key of the store. */
export const mayUse = ({ logs }: Principal, log: string): boolean =>
  LOG_ID.test(log) && (logs === "all" || logs.includes(log));
