/** What handlers ask of AWS, as the backend's meters count it. */
import { z } from "zod";

const counts = {
  readUnits: z.number(),
  writeUnits: z.number(),
  gets: z.number(),
  puts: z.number(),
  /** The same of the index's bucket. */
  indexGets: z.number(),
  indexPuts: z.number(),
  ed25519Signatures: z.number(),
  mldsaSignatures: z.number(),
  /** Calls of each service that were waited for in turn. */
  dynamodbRounds: z.number(),
  kmsRounds: z.number(),
  s3Rounds: z.number(),
  /** Calls that were refused, other than reads of absent objects: there should be none. */
  failures: z.number(),
};
export const callsSchema = z.object(counts);
export type Calls = z.infer<typeof callsSchema>;

export const NO_CALLS: Calls = {
  readUnits: 0,
  writeUnits: 0,
  gets: 0,
  puts: 0,
  indexGets: 0,
  indexPuts: 0,
  ed25519Signatures: 0,
  mldsaSignatures: 0,
  dynamodbRounds: 0,
  kmsRounds: 0,
  s3Rounds: 0,
  failures: 0,
};

/** With what is stored after them: items and their bytes as DynamoDB sizes them, objects' bytes in all versions; the index has one of each. */
export const takenSchema = z.object({
  ...counts,
  tableItems: z.number(),
  tableBytes: z.number(),
  bucketBytes: z.number(),
  indexBytes: z.number(),
});
export type Taken = z.infer<typeof takenSchema>;
