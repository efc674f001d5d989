/** The officer's console at `/` and the verifier page: static files, as the build made them. They load nothing from elsewhere. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import * as z from "zod";
import { JSON_TYPE } from "./body.ts";
import { built, CONSOLE_PAGE, VERIFIER_PAGE } from "./built.ts";
import type { ApiEnv } from "./env.ts";
import { NOT_BUILT, PAGE_POLICY } from "./pages.ts";
import { absentProblem, anyProblems, notFound } from "./problem.ts";
import { FOR_MINUTES, HTML_TYPE } from "./schema.ts";

/** For a program that asks `/` what this is. */
const START = {
  service: "Kedge",
  openapi: "/openapi.json",
  documentation: "/docs",
  anchorLog: "/anchor/",
  verifier: "/verify.html",
} as const;

/** @param find where the pages are. */
export function consoleRoutes(app: OpenAPIHono<ApiEnv>, find: typeof built = built): void {
  const common = { method: "get" as const, tags: ["Service"], security: [] };
  const files = openFiles(find);

  const start = createRoute({
    ...common,
    path: "/",
    operationId: "getStart",
    summary: "The console: a page for people",
    description:
      "To who accepts JSON and no HTML: a JSON object of paths, where the parts of the service are.",
    responses: {
      200: {
        description: "HTML that loads nothing from elsewhere.",
        content: { [HTML_TYPE]: { schema: z.string() } },
      },
      ...anyProblems,
    },
  });
  app.openAPIRegistry.registerPath(start);
  app.get(start.path, (c) => {
    const headers = { ...PAGE_HEADERS, Vary: "Accept" };
    if (isForProgram(c.req.header("accept"))) {
      return c.body(JSON.stringify(START), 200, { ...headers, "Content-Type": JSON_TYPE });
    }
    const page = files.consoleFile("index.html");
    return page === undefined
      ? c.body(NOT_BUILT, 200, {
          ...headers,
          "Content-Type": HTML_TYPE,
          "Content-Security-Policy": PAGE_POLICY,
        })
      : respond(c, page, headers);
  });

  app.get("/assets/:name", (c) => {
    const file = files.consoleFile(`assets/${c.req.param("name")}`);
    if (file === undefined) throw notFound("The console has no such file: load its page anew.");
    return respond(c, file, {
      ...SECURED,
      "Content-Security-Policy": ASSET_POLICY,
      "Cache-Control": "public, max-age=31536000, immutable",
    });
  });

  const verifier = createRoute({
    ...common,
    path: "/verify.html",
    operationId: "getVerifierPage",
    summary: "The verifier page",
    description: "One file, which works from a saved copy without any network.",
    responses: {
      200: { description: "HTML that loads nothing.", content: { [HTML_TYPE]: { schema: z.string() } } },
      ...anyProblems,
      ...absentProblem,
    },
  });
  app.openAPIRegistry.registerPath(verifier);
  app.get(verifier.path, (c) => {
    const page = files.verifierPage();
    if (page === undefined) throw notFound("The verifier page is not built: run `npm run build`.");
    return respond(c, page, {
      ...SECURED,
      "Content-Security-Policy": "frame-ancestors 'none'",
      "Cache-Control": FOR_MINUTES,
    });
  });
}

/** What accepts JSON by name, and neither HTML nor anything. */
const isForProgram = (accept = ""): boolean =>
  /application\/(?:[\w.+-]+\+)?json/i.test(accept) && !/text\/(?:html|\*)|\*\/\*/i.test(accept);

const SECURED = {
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
} as const;

/** A new deployment is seen at once: old pages name files that are gone. */
const PAGE_HEADERS = {
  ...SECURED,
  "Cache-Control": "no-cache",
  "Content-Security-Policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "worker-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  Link: '</openapi.json>; rel="service-desc", </docs>; rel="service-doc"',
} as const;

/** A worker is under the policy of its own answer, and not of the page's (CSP Level 3 §2.2): it holds the events. */
const ASSET_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

type StaticFile = {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly type: string;
  readonly etag: string;
};

function respond(c: Context, { bytes, type, etag }: StaticFile, headers: Record<string, string>): Response {
  const known = (c.req.header("if-none-match") ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  if (known.includes(etag) || known.includes("*")) return c.body(null, 304, { ...headers, ETag: etag });
  return c.body(bytes, 200, { ...headers, ETag: etag, "Content-Type": type });
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": HTML_TYPE,
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".ttf": "font/ttf",
  ".woff": "font/woff",
  ".woff2": "font/woff2",
};

/** Bytes of a file, and files: more is no build of ours. Lambda answers with at most 6 MB. */
const MAX_FILE = 4 << 20;
const MAX_FILES = 200;

/** All of them at the first request for any, kept as one copy for all. Names are those of the folder, and no path of a client's. */
function openFiles(find: typeof built) {
  let consoleFiles: ReadonlyMap<string, StaticFile> | undefined;
  let verifier: StaticFile | undefined;
  return {
    /** @param name below console/dist. */
    consoleFile(name: string): StaticFile | undefined {
      consoleFiles ??= readConsole(find(CONSOLE_PAGE));
      return consoleFiles?.get(name);
    },
    verifierPage(): StaticFile | undefined {
      verifier ??= readVerifier(find(VERIFIER_PAGE));
      return verifier;
    },
  };
}

/** Undefined where it is not built. */
function readConsole(index: string | undefined): ReadonlyMap<string, StaticFile> | undefined {
  if (index === undefined) return undefined;
  const assets = join(dirname(index), "assets");
  const names = existsSync(assets) ? readdirSync(assets) : [];
  if (names.length > MAX_FILES) throw new RangeError(`${assets} has more than ${MAX_FILES} files`);
  const files = names.map((name) => [`assets/${name}`, readStatic(join(assets, name))] as const);
  return new Map([["index.html", readStatic(index)], ...files]);
}

const readVerifier = (path: string | undefined): StaticFile | undefined =>
  path === undefined ? undefined : readStatic(path);

function readStatic(path: string): StaticFile {
  if (statSync(path).size > MAX_FILE) throw new RangeError(`${path} is larger than ${MAX_FILE} bytes`);
  const bytes = new Uint8Array(readFileSync(path));
  const etag = `"${createHash("sha256").update(bytes).digest("base64url")}"`;
  return { bytes, etag, type: TYPES[extname(path)] ?? "application/octet-stream" };
}
