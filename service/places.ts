/**
 * Places: a tenant has so many for what it may make, logs, API keys and viewer links. One conditional write takes a place, and
 * the place is in the item's key: no race takes one twice, and a crash leaves none taken.
 */
import { createHash, randomBytes } from "node:crypto";
import { MAX_OF_A_KIND } from "@kedge/cli/contract/limits";
import { base32nopad } from "@scure/base";
import { ServiceError } from "../platform/error.ts";
import { type Condition, type Item, putIf, type Store } from "../platform/store.ts";

export const PLACES = Array.from({ length: MAX_OF_A_KIND }, (_, place) => place);

/** Opaque, lower case: 5 bits a character. */
export const idOf = (bytes: Uint8Array, length: number): string =>
  base32nopad.encode(bytes).toLowerCase().slice(0, length);

/** Of a place in the characters of ids: what an id begins with. */
export const PLACE_LENGTH = 2;
export const PLACE_NAMES = PLACES.map((place) =>
  idOf(Uint8Array.of(place >> 2, (place & 3) << 6), PLACE_LENGTH),
);

export type FreePlace = { readonly place: string; readonly condition: Condition };

/** The places that something new may take, and on what condition: first those that are empty, then those of what is dead. */
export function* freePlaces(
  places: readonly string[],
  byPlace: ReadonlyMap<string, Item>,
  isDead: (item: Item) => boolean,
): Generator<FreePlace> {
  const empty = places.filter((place) => !byPlace.has(place));
  for (const place of shuffled(empty)) yield { place, condition: { kind: "absent" } };
  for (const place of shuffled(places)) {
    const item = byPlace.get(place);
    if (item !== undefined && isDead(item)) yield { place, condition: unchanged(item) };
  }
}

/** The place has the same as when it was read: what is dead may give way to another meanwhile. */
export const unchanged = ({ createdAt = 0n }: Item): Condition => ({
  kind: "equals",
  attribute: "createdAt",
  value: createdAt,
});

/** Takes a place. Also true when an earlier try of this write did, and only its answer was lost. */
export async function take(store: Store, item: Item, condition: Condition): Promise<boolean> {
  const attempt = randomBytes(16).toString("hex");
  if (await putIf(store, { ...item, attempt }, condition)) return true;
  const [there] = await store.get([item]);
  return there?.["attempt"] === attempt;
}

/** So that those who race try different places. */
export function shuffled<T>(all: readonly T[]): T[] {
  const order = all.map((each) => ({ each, by: Math.random() }));
  return order.sort((a, b) => a.by - b.by).map(({ each }) => each);
}

export const full = (): ServiceError =>
  new ServiceError("conflict", `this tenant has ${MAX_OF_A_KIND} of these already, the most it may have`);

/** A secret is shown once, in base32, and its SHA-256 is stored. */
export const newSecret = (): string => idOf(randomBytes(32), 52);
export const hashOf = (secret: string): Uint8Array =>
  new Uint8Array(createHash("sha256").update(secret).digest());
