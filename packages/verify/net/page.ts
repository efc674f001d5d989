/** A page of a log's published checkpoints, as the HTTP API answers it. */
import * as z from "zod";

/** Most checkpoints in a page. */
export const MAX_PAGE = 1_000;

export const checkpointSchema = z.object({
  size: z.int().positive(),
  publishedAt: z.iso.datetime(),
  checkpoint: z.string(),
});
export const checkpointsSchema = z.object({
  checkpoints: z.array(checkpointSchema),
  next: z.int().positive().optional(),
});
