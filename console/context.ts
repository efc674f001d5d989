/** What the shell gives to a page, and a page to the shell. The shell owns sign-in, the address and the frame around pages. */
import type { Client } from "@kedge/cli/client/api";
import type { newExportSchema, newReviewSchema, sessionSchema } from "@kedge/cli/contract/people";
import type { Connection } from "@kedge/verify/net/http";
import type { JSX } from "preact";
import type * as z from "zod";

/** Each page has its texts in both (`strings/en.ts`, `strings/de.ts`); a page is rendered anew when the reader switches. */
export type Language = "en" | "de";

export type Session = z.infer<typeof sessionSchema>;

/** A log that the session may read, as GET /v1/logs has it; pages are given the name in the reader's language. */
export type Log = Awaited<ReturnType<Client["logs"]>>[number];

/** Calls beyond those of an API key. */
export type PeopleCalls = {
  /** POST /v1/logs/{log}/reviews */
  review(log: string, review: z.input<typeof newReviewSchema>): Promise<void>;
  /** POST /v1/exports: kind and count of what was made in the browser. Call it before the file is handed out. */
  reportExport(done: z.input<typeof newExportSchema>): Promise<void>;
};

export type PageProps = {
  /** Asks with the session's token, also with that of a later sign-in. */
  readonly client: Client;
  readonly people: PeopleCalls;
  /** For a worker: the address and the token of now. Never keep it, and never put it in storage or in an address. */
  connection(): Connection;
  /**
   * Does `work`, and when the session has ended meanwhile (ClientError `unauthorized`), lets the reader sign in again in place
   * and does it once more: every question of a page goes through here. Throws what `work` throws; `unauthorized` when the
   * reader does not sign in again.
   */
  asking<T>(work: () => Promise<T>): Promise<T>;
  readonly session: Session;
  readonly logs: readonly Log[];
  /** Reads them anew. The page stays as it is meanwhile, also where that fails. */
  reloadLogs(): void;
  readonly language: Language;
  /** Says it to a screen reader, politely, and to nobody else: what a sighted reader sees happen. */
  announce(text: string): void;
  /** True while the page holds what is nowhere else: the reader is then asked before it is lost. */
  holdsWork(held: boolean): void;
  /** Hands a file out, as a download. */
  save(name: string, bytes: Uint8Array<ArrayBuffer> | string, mediaType: string): void;
};

/**
 * console/case/case-page.tsx exports `CasePage`: (props: PageProps) => JSX. It is loaded when it is first opened, stays mounted
 * (hidden) when another page is shown, and is unmounted on sign-out. It renders its own <h1 tabIndex={-1}>, which the
 * shell focuses when the page is opened; the shell has <main>, the skip link, and console/style.css (classes are named there).
 */
export type Page = (props: PageProps) => JSX.Element;
