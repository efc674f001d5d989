/** Who is signed in: the token is in memory and nowhere else, so that closing or reloading the page ends it here. */

import { openClient } from "@kedge/cli/client/api";
import { openPeople, openSignIn, type SignedIn, type SignInRequest } from "@kedge/cli/client/people";
import type { newExportSchema, newReviewSchema } from "@kedge/cli/contract/people";
import { type Connection, request } from "@kedge/verify/net/http";
import { logPath, read } from "@kedge/verify/net/log";
import type * as z from "zod";

export type { SignedIn } from "@kedge/cli/client/people";

/** A page is looked at: who waits for it is told soon that something is amiss. */
const ATTEMPTS = 3;

/** With what somebody signs in. */
export type Credential =
  | { readonly link: string }
  | { readonly start: string }
  | { readonly tenant: string; readonly answer: SignInRequest };

/** The service as this browser asks it, and the one place where the token is. */
export function openSession(url: string) {
  let current: SignedIn | undefined;
  /** Of whoever is signed in when it is asked. */
  const live: Connection = {
    url,
    attempts: ATTEMPTS,
    get apiKey() {
      return current?.token ?? NOBODY;
    },
  };
  const open: Connection = { url, attempts: ATTEMPTS };
  const people = openPeople(live);
  const { where, byProvider, byLink, byStart } = openSignIn(open);
  const connection = (): Connection => ({ url, attempts: ATTEMPTS, apiKey: current?.token ?? NOBODY });

  return {
    ...people,
    current: () => current,
    client: openClient(live),
    /** A copy, for a worker. */
    connection,
    /** What anyone may read. */
    publicText: (path: string) => request(open, read(path)),

    /** Where the people of an organisation sign in. */
    provider: where,
    /** Nobody is signed in by that yet: `use` is what does it. */
    async signIn(credential: Credential): Promise<SignedIn> {
      if ("link" in credential) return await byLink(credential.link);
      if ("start" in credential) return await byStart(credential.start);
      return await byProvider(credential.tenant, credential.answer);
    },
    use(signedIn: SignedIn): void {
      current = signedIn;
    },
    /** Forgets the token, whatever becomes of the question. */
    async signOut(): Promise<void> {
      const { signOut } = openPeople(connection());
      current = undefined;
      await signOut();
    },
    /** Ends a session that was opened and is not wanted. */
    drop: ({ token }: SignedIn) => openPeople({ ...open, apiKey: token }).signOut(),

    review: async (log: string, review: z.input<typeof newReviewSchema>): Promise<void> => {
      const path = `${logPath(log)}/reviews`;
      await request(live, { method: "POST", path, body: review, idempotent: false });
    },
    reportExport: async (done: z.input<typeof newExportSchema>): Promise<void> => {
      await request(live, { method: "POST", path: "/v1/exports", body: done, idempotent: false });
    },
  };
}

export type Service = ReturnType<typeof openSession>;

/** In place of a token: the service refuses it as one that has ended. */
const NOBODY = "nobody";
