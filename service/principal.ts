/** Who asks, and what they may: decided from the principal alone, before anything is read. */
import { type AnyScope, LOG_ID, type Role } from "@kedge/cli/contract/ids";
import { ServiceError } from "../platform/error.ts";

export type Principal = {
  readonly tenant: string;
  readonly scopes: readonly AnyScope[];
  /** Ids of the only logs that it may use, or every log of its tenant. */
  readonly logs: readonly string[] | "all";
  /** Whom the record names. */
  readonly who: Who;
};

export type Who =
  | { readonly kind: "api key"; readonly id: string }
  /** `id` is the session's; `subject` the `sub` of the identity provider's token, or `local`. */
  | { readonly kind: "person"; readonly id: string; readonly subject: string; readonly role: Role }
  /** Whoever has a viewer link; `id` is the session's. */
  | { readonly kind: "link"; readonly id: string; readonly link: string };

/** @throws ServiceError `forbidden` without one of these scopes; it says nothing of what was asked for. */
export function requireScope({ scopes }: Principal, ...wanted: readonly AnyScope[]): void {
  if (wanted.some((scope) => scopes.includes(scope))) return;
  throw new ServiceError(
    "forbidden",
    `This needs the scope ${wanted.join(" or ")}, of an API key or a role.`,
  );
}

/** @throws ServiceError `forbidden` for an API key: what asks for no scope is about who is signed in. */
export function requireSession({ who }: Principal): void {
  if (who.kind !== "api key") return;
  throw new ServiceError("forbidden", "This is about a session, and an API key has none: sign in.");
}

/** False also for what is no log's id: it is not worth a read, and may be too long for a key of the store. */
export const mayUse = ({ logs }: Principal, log: string): boolean =>
  LOG_ID.test(log) && (logs === "all" || logs.includes(log));
