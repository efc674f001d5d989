/** Which methods a path takes, by the OpenAPI document: so that another one is a 405 and not a 404 (RFC 9110 §15.5.6). */
import type { OpenAPIHono } from "@hono/zod-openapi";

/** @returns the methods of a path that is in the document; undefined for any other. */
export function methodsOf(
  definitions: OpenAPIHono["openAPIRegistry"]["definitions"],
): (path: string) => readonly string[] | undefined {
  const methods = new Map<string, string[]>();
  for (const definition of definitions) {
    if (definition.type !== "route") continue;
    const { path, method } = definition.route;
    const names = method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()];
    methods.set(path, [...(methods.get(path) ?? []), ...names]);
  }
  // A path that is written out counts before one with parameters (OpenAPI 3.1 §4.8.8.2).
  const patterns = [...methods]
    .filter(([path]) => path.includes("{"))
    .map(([path, names]) => ({ pattern: patternOf(path), names }));
  return (path) => methods.get(path) ?? patterns.find(({ pattern }) => pattern.test(path))?.names;
}

/** A tile's path is the one parameter that spans slashes. */
function patternOf(path: string): RegExp {
  const source = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => (name === "path" ? ".+" : "[^/]+"));
  return new RegExp(`^${source}$`, "s");
}
