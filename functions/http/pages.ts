/** Pages for people who open the address in a browser: what this is, and where to go from here. They load nothing. */
import { createHash } from "node:crypto";
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import * as z from "zod";
import type { ApiEnv } from "./env.ts";
import { anyProblems } from "./problem.ts";
import { FOR_MINUTES, HTML_TYPE } from "./schema.ts";

export function pageRoutes(app: OpenAPIHono<ApiEnv>): void {
  const route = createRoute({
    method: "get",
    path: "/anchor/",
    operationId: "getAnchorStart",
    summary: "A page: what the anchor log is",
    tags: ["Service"],
    security: [],
    responses: {
      200: { description: "HTML that loads nothing.", content: { [HTML_TYPE]: { schema: z.string() } } },
      ...anyProblems,
    },
  });
  app.openAPIRegistry.registerPath(route);
  app.get(route.path, (c) =>
    c.body(ANCHOR, 200, {
      "Content-Type": HTML_TYPE,
      "Content-Security-Policy": PAGE_POLICY,
      "Cache-Control": FOR_MINUTES,
    }),
  );
  app.get("/anchor", (c) => c.redirect("/anchor/", 308));
}

const STYLE = "body{max-width:42rem;margin:3rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif}";

export const PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const page = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${title}</h1>
${body}
</body>
</html>
`;

/** In place of the console, in a clone that was not built. */
export const NOT_BUILT = page(
  "Kedge",
  `<p>The console is not built here. <code>npm run build</code> builds it; <code>npm start</code> does so by itself.</p>
<ul>
<li><a href="docs">API reference</a>: how to make a commitment, post it, and fetch its proof</li>
<li><a href="openapi.json">OpenAPI document</a>, for programs</li>
<li><a href="anchor/">The anchor log</a>: what proofs are verified against, public</li>
</ul>`,
);

const ANCHOR = page(
  "The anchor log",
  `<p>This is the public log of the service: an append-only Merkle log
(<a href="https://c2sp.org/tlog-tiles" rel="noreferrer">c2sp.org/tlog-tiles</a>) whose entries are the checkpoints of every tenant's log.
It says nothing of who the tenants are or what they posted.</p>
<ul>
<li><a href="checkpoint">checkpoint</a>: the newest signed tree head</li>
<li><a href="policy">policy</a>: the log's keys, its witnesses, and how many of them must have cosigned</li>
<li><a href="vkeys">vkeys</a>: the keys that sign it now</li>
<li><code>tile/…</code>, <code>checkpoints/&lt;size&gt;</code>, <code>timestamps/&lt;size&gt;</code>: what auditors and monitors read</li>
</ul>
<p>Take the keys from a source you trust, not from here: who serves a log cannot vouch for its keys.
<code>kedge monitor &lt;this address&gt; --policy &lt;file&gt; --state &lt;file&gt;</code> follows the log and keeps evidence if it is ever forked.</p>`,
);
