/**
 * The address bar: pages are named in its fragment, which no server sees. What signs somebody in comes in it too, and is
 * taken out of the address and of the browser's history before anything else happens.
 */

/** What was in the address besides a page. */
export type Arrival =
  | { readonly kind: "text"; readonly by: "link" | "start"; readonly text: string }
  /** From the identity provider (RFC 6749 §4.1.2 and §4.1.2.1, RFC 9207). */
  | {
      readonly kind: "provider";
      readonly state: string;
      readonly code?: string;
      readonly error?: string;
      readonly iss?: string;
    };

/** What arrived, once: the address names a page afterwards, and nothing else. */
export function takeArrival(): Arrival | undefined {
  const { hash, search } = location;
  const [, by, text] = /^#(link|start)=(.*)$/s.exec(hash) ?? [];
  const query = new URLSearchParams(search);
  const isPage = hash === "" || hash.startsWith("#/");
  if (search !== "" || !isPage) history.replaceState(null, "", isPage ? `/${hash}` : "/");
  if (text !== undefined) return { kind: "text", by: by === "link" ? "link" : "start", text };
  const state = query.get("state");
  if (state === null) return undefined;
  const [code, error, iss] = [query.get("code"), query.get("error"), query.get("iss")];
  return {
    ...{ kind: "provider", state },
    ...(code !== null && { code }),
    ...(error !== null && { error }),
    ...(iss !== null && { iss }),
  };
}

export type Route =
  | { readonly page: "logs" | "prove" | "keys" | "links" | "reviews" | "trail" | "about" }
  | { readonly page: "log"; readonly log: string };

/** Of a fragment. What names no page is the first one. */
export function routeOf(hash: string): Route {
  const [, page = "", log] = /^#\/([a-z]*)(?:\/([a-z2-7]+))?$/.exec(hash) ?? [];
  switch (page) {
    case "logs":
      return log === undefined ? { page } : { page: "log", log };
    case "prove":
    case "keys":
    case "links":
    case "reviews":
    case "trail":
    case "about":
      return { page };
    default:
      return { page: "logs" };
  }
}

export const hashOf = (route: Route): string =>
  route.page === "log" ? `#/logs/${route.log}` : `#/${route.page}`;
