/** What people do over the HTTP API: sign in and out, viewer links. For the console; answers are checked as in api.ts. */
import { type ApiRequest, type Connection, request } from "@kedge/verify/net/http";
import { parseAnswer, read } from "@kedge/verify/net/log";
import type * as z from "zod";
import {
  createdLinkSchema,
  type linkSchema,
  linksSchema,
  type newLinkSchema,
  sessionSchema,
  signedInSchema,
  type signInRequestSchema,
  signInSchema,
} from "../contract/people.ts";

export type SignedIn = z.infer<typeof signedInSchema>;
export type Link = z.infer<typeof linkSchema>;
/** What the identity provider sent back, with what only this browser knows. */
export type SignInRequest = z.infer<typeof signInRequestSchema>;

/** Who is not signed in yet. Every call throws ClientError: `unauthorized` where the link or the sign-in is refused. */
export function openSignIn(connection: Omit<Connection, "apiKey">) {
  // Another tab's session is not this one's: a sign-in carries no credential but its own.
  const { url, ...limits } = connection;
  const call = async <T>(schema: z.ZodType<T>, what: ApiRequest): Promise<T> =>
    parseAnswer(schema, await request({ url, ...limits }, what));
  const post = (path: string, body: unknown) => ({ method: "POST", path, body, idempotent: false }) as const;
  const pathOf = (tenant: string) => `/v1/sign-in/${encodeURIComponent(tenant)}`;
  return {
    /** Where people of this tenant sign in. `not_found` where they do not. */
    where: (tenant: string) => call(signInSchema, read(pathOf(tenant))),
    byProvider: (tenant: string, answer: SignInRequest) => call(signedInSchema, post(pathOf(tenant), answer)),
    /** @param text what stands after `#link=`. */
    byLink: (text: string) => call(signedInSchema, post("/v1/sign-in", { link: text })),
    /** @param text what stands after `#start=`. */
    byStart: (text: string) => call(signedInSchema, post("/v1/sign-in", { start: text })),
  };
}

/** Who is signed in: `apiKey` of the connection is the session's token. */
export function openPeople(connection: Connection) {
  const call = async <T>(schema: z.ZodType<T>, what: ApiRequest): Promise<T> =>
    parseAnswer(schema, await request(connection, what));
  const remove = async (path: string): Promise<void> => {
    await request(connection, { method: "DELETE", path, idempotent: true });
  };
  return {
    session: () => call(sessionSchema, read("/v1/session")),
    signOut: () => remove("/v1/session"),
    links: async () => (await call(linksSchema, read("/v1/links"))).links,
    /** `link` is in the answer to this call and never again: what stands after `#link=`. */
    createLink: (link: z.infer<typeof newLinkSchema>) =>
      call(createdLinkSchema, { method: "POST", path: "/v1/links", body: link, idempotent: false }),
    revokeLink: (id: string) => remove(`/v1/links/${encodeURIComponent(id)}`),
  };
}
