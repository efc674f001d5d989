/** The configuration of whoever seals and anchors: the API's, where files are published, and who signs. */
import * as z from "zod";
import { folderPublication } from "../platform/folder.ts";
import type { Publication } from "../platform/publication.ts";
import { bucketPublication } from "../platform/s3.ts";
import { apiSchema, openParts, readConfig } from "./config.ts";
import { checkpointSigner, logVkeys } from "./sign.ts";

const schema = apiSchema.extend({
  /** Where published files go. */
  KEDGE_PUBLICATION: z.url({ protocol: /^(file|s3)$/, error: "a file:/// or s3:// URL" }),
  /** Events of Kedge's own trail are kept for so many days, and their commitments for good. */
  KEDGE_TRAIL_DAYS: z
    .string()
    .regex(/^[1-9][0-9]{0,4}$/, "days, 1 to 99999")
    .default("2190")
    .transform((text) => Number(text)),
});

/** Everything the verbs of service/ need. */
export type Service = ReturnType<typeof openService>;

/** Whether the configuration is right, before anything is opened. @throws ServiceError `invalid` */
export const checkConfig = (env: NodeJS.ProcessEnv) => readConfig(schema, env);

/** @throws ServiceError `invalid` naming each variable that is missing or wrong. */
export function openService(env: NodeJS.ProcessEnv) {
  const config = checkConfig(env);
  const service = openParts(config);
  return {
    ...service,
    publication: openPublication(new URL(config.KEDGE_PUBLICATION)),
    trailRetention: config.KEDGE_TRAIL_DAYS * 24 * 3_600_000,
    // On one machine no backup of the store alone reaches back further.
    ...(config.KEDGE_STORE.startsWith("lmdb:") && { retention: 3_600_000 }),
    signLog: checkpointSigner(service.logKeys, service.clock),
    signAnchor: checkpointSigner(service.anchorKeys, service.clock),
    anchorVkeys: () => logVkeys(service.anchorKeys, service.anchorOrigin),
  };
}

const openPublication = (url: URL): Publication =>
  url.protocol === "s3:" ? bucketPublication(url) : folderPublication(url);
