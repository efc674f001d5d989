/**
 * SHA-256 by Node.js: of short messages the fastest way here, as `npm run bench -- tlog` measures it. As text, because what it
 * takes to make a Buffer is more than the hash itself.
 */
import { hash } from "node:crypto";
import type { Sha256 } from "@kedge/verify/tlog/merkle";

export const sha256: Sha256 = (message, out, at) => {
  const digest = hash("sha256", message, "binary");
  for (let i = 0; i < digest.length; i++) out[at + i] = digest.charCodeAt(i);
};
