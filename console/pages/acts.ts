/** Events of Kedge's own trail as a reader sees them: FHIR R4 AuditEvents, with Kedge's codes beside FHIR's. */

import type { Client } from "@kedge/cli/client/api";
import type { Columns } from "@kedge/verify/events/formats/columns";
import { readColumns } from "@kedge/verify/events/formats/formats";
import * as z from "zod";
import type { Strings } from "../strings/en.ts";

/** Events of the trail that are asked for at once. */
export const TRAIL_PAGE = 100;

export type TrailRow = Awaited<ReturnType<Client["trail"]>>["events"][number];

export type TrailPage = {
  readonly log?: string | undefined;
  readonly rows: readonly TrailRow[];
  /** Absent where there are none before these. */
  readonly next?: string | undefined;
};

/** Newest first, in pages, until there are `most`; `isCut` where there are older ones. */
export async function newestOf(
  pageOf: (before: string | undefined) => Promise<TrailPage>,
  most: number,
): Promise<{ rows: TrailRow[]; isCut: boolean }> {
  const rows: TrailRow[] = [];
  for (let before: string | undefined; ; ) {
    const page = await pageOf(before);
    rows.push(...page.rows);
    before = page.next;
    if (before === undefined || rows.length >= most) return { rows, isCut: before !== undefined };
  }
}

export type Act = {
  /** As any verifier reads them; absent for what is no event. */
  readonly columns?: Columns;
  /** Kedge's code of what was done, such as `key_created`. */
  readonly code?: string;
  readonly things: readonly { readonly kind: string; readonly id: string }[];
  /** What was told of it, such as a review's count; a name may stand more than once. */
  readonly details: readonly { readonly name: string; readonly value: string }[];
};

const identifier = z.object({ identifier: z.object({ system: z.string(), value: z.string() }) });
const eventSchema = z.object({
  subtype: z.array(z.object({ system: z.string().optional(), code: z.string() })).default([]),
  entity: z
    .array(
      z.object({
        what: identifier.optional(),
        detail: z.array(z.object({ type: z.string(), valueString: z.string() })).default([]),
      }),
    )
    .default([]),
});

const URN = "urn:kedge:";

/** Never throws: what cannot be read has no columns. */
export function actOf({ event }: TrailRow): Act {
  try {
    const columns = readColumns(new TextEncoder().encode(event), "application/fhir+json");
    const { data } = eventSchema.safeParse(JSON.parse(event));
    const code = data?.subtype.find(({ system }) => system === `${URN}act`)?.code;
    const entities = data?.entity ?? [];
    return {
      columns,
      ...(code !== undefined && { code }),
      things: entities.flatMap(({ what }) =>
        what === undefined
          ? []
          : [{ kind: what.identifier.system.replace(URN, ""), id: what.identifier.value }],
      ),
      details: entities.flatMap(({ detail }) =>
        detail.map(({ type, valueString }) => ({ name: type, value: valueString })),
      ),
    };
  } catch {
    return { things: [], details: [] };
  }
}

export const detailOf = ({ details }: Act, wanted: string): string | undefined =>
  details.find(({ name }) => name === wanted)?.value;

/** Names and values that are Kedge's own are said in the language; what else there is stands as it is. */
export function sayDetail({ name, value }: Act["details"][number], { trail, reviews }: Strings): string {
  const values = name === "kind" ? trail.kinds : name === "filter" ? reviews.filters : {};
  return `${wordOf(name, trail.details)} ${wordOf(value, values)}`;
}

const wordOf = (text: string, words: Readonly<Record<string, string>>): string =>
  Object.hasOwn(words, text) ? (words[text] ?? text) : text;
