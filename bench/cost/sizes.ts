/** Sizes of items as DynamoDB counts them (Developer Guide, "DynamoDB item sizes and formats"). */
import { z } from "zod";

const value = z.union([
  z.object({ S: z.string() }).transform(({ S }) => Buffer.byteLength(S)),
  // A byte for every two significant digits, and one.
  z.object({ N: z.string() }).transform(({ N }) => Math.ceil(N.replace(/^-|0+$/g, "").length / 2) + 1),
  z.object({ B: z.base64() }).transform(({ B }) => Buffer.byteLength(B, "base64")),
]);
const item = z.record(z.string(), value);
const key = z.looseObject({ pk: z.object({ S: z.string() }), sk: z.object({ S: z.string() }) });

const written = z.union([
  z.object({ Item: z.unknown() }).transform(({ Item }) => [{ PutRequest: { Item } }]),
  z
    .object({ RequestItems: z.record(z.string(), z.array(z.unknown())) })
    .transform(({ RequestItems }) => Object.values(RequestItems).flat()),
]);
const change = z.union([
  z
    .object({ PutRequest: z.object({ Item: z.unknown() }) })
    .transform(({ PutRequest }) => sized(PutRequest.Item)),
  z
    .object({ DeleteRequest: z.object({ Key: key }) })
    .transform(({ DeleteRequest }): Sized => [nameOf(DeleteRequest.Key), undefined]),
]);

/** An item's key, and its bytes, or undefined where it is deleted. */
export type Sized = readonly [key: string, bytes: number | undefined];

/** What a PutItem or BatchWriteItem request puts and deletes. */
export function itemSizes(request: unknown): Sized[] {
  return written.parse(request).map((one) => change.parse(one));
}

function sized(raw: unknown): Sized {
  const bytes = Object.entries(item.parse(raw)).map(([name, length]) => Buffer.byteLength(name) + length);
  return [nameOf(key.parse(raw)), bytes.reduce((sum, one) => sum + one, 0)];
}

const nameOf = ({ pk, sk }: z.infer<typeof key>): string => `${pk.S}\0${sk.S}`;
