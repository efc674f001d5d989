/** A page of a FHIR search (R4 §3.1.0.1.11, a Bundle of type searchset): its resources as they stand in its bytes. */
import { at, each, first, isObject, lookAtObjects } from "@kedge/verify/events/formats/json";
import { malformedEvent } from "@kedge/verify/events/formats/malformed";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

export type Found = {
  bytes: Uint8Array;
  /** One version of one resource: its id and version, or SHA-256 of its bytes where it has none. */
  key: string;
  /** `meta.lastUpdated` in ms since the epoch: by the server's clock. */
  updated?: number;
};
export type Page = {
  found: Found[];
  /** Of other types, such as an OperationOutcome of the search itself. */
  others: number;
  next?: string;
};

const ID = /^[A-Za-z0-9.-]{1,64}$/;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** @param type of the resources that were searched for. @throws EventError `malformed_event` */
export function readPage(bytes: Uint8Array, type: string): Page {
  const { value: bundle, bytesOf } = lookAtObjects(bytes);
  if (at(bundle, "resourceType") !== "Bundle") throw malformedEvent(bytes, 0, "no Bundle");
  const resources = each(bundle, "entry").flatMap((entry) => at(entry, "resource") ?? []);
  const found = resources.flatMap((resource): Found[] => {
    if (!isObject(resource) || at(resource, "resourceType") !== type) return [];
    const id = first(at(resource, "id"));
    const version = first(at(resource, "meta", "versionId"));
    const slice = bytesOf(resource);
    const isNamed = id !== undefined && version !== undefined && ID.test(id) && ID.test(version);
    const updated = instant(first(at(resource, "meta", "lastUpdated")));
    return [
      {
        bytes: slice,
        key: isNamed ? `${id}/${version}` : bytesToHex(sha256(slice)),
        ...(updated === undefined ? {} : { updated }),
      },
    ];
  });
  const link = each(bundle, "link").find((one) => at(one, "relation") === "next");
  const next = first(at(link, "url"));
  return { found, others: resources.length - found.length, ...(next === undefined ? {} : { next }) };
}

function instant(text: string | undefined): number | undefined {
  if (text === undefined || !INSTANT.test(text)) return undefined;
  const ms = Date.parse(text);
  return Number.isFinite(ms) ? ms : undefined;
}
