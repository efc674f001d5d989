/** What the routes share in the OpenAPI document: parameters and answers. */
import { EXAMPLE_LOG, hashSchema } from "@kedge/cli/contract/wire";
import * as z from "zod";
import { NOTE_TYPE } from "../../platform/publication.ts";
import { JSON_TYPE, OCTETS } from "./body.ts";

export const HTML_TYPE = "text/html; charset=utf-8";
/** `Cache-Control` of what changes with a deployment only. */
export const FOR_MINUTES = "public, max-age=300";

/** Which logs exist is for the lookup to say, so that a malformed id is answered as an absent one. */
export const logParams = z.object({
  log: z.string().meta({ description: "Id of the log.", example: EXAMPLE_LOG }),
});

/** 15 digits stay below 2^53, where JSON numbers are exact. */
const SIZE = /^(?:0|[1-9][0-9]{0,14})$/;
export const sizeText = z
  .string()
  .regex(SIZE, "a decimal number without leading zeroes, of at most 15 digits");
/** The same in a query, where the document calls it the number that it stands for. */
export const sizeQuery = { type: "integer", minimum: 0, maximum: 999_999_999_999_999 } as const;

export const entryParams = logParams.extend({ hash: hashSchema });

export const sizeParams = z.object({ size: z.string().meta({ description: "Tree size.", example: "4096" }) });

export const tileParams = {
  path: z.string().meta({ description: "Path of the tile below `tile/`.", example: "0/000.p/1" }),
};

export const json = <Schema extends z.ZodType>(description: string, schema: Schema) => ({
  description,
  content: { [JSON_TYPE]: { schema } },
});
export const jsonBody = <Schema extends z.ZodType>(schema: Schema) => ({
  body: { required: true, content: { [JSON_TYPE]: { schema } } },
});
export const note = (description: string) => ({
  description,
  content: { [NOTE_TYPE]: { schema: z.string() } },
});
export const tile = {
  description: "The tile. It never changes.",
  content: { [OCTETS]: { schema: z.string().meta({ format: "binary" }) } },
};
