/** What the handlers of one request share. */
import type { Principal } from "../../service/principal.ts";

export type ApiEnv = {
  /** Set by API Gateway, absent elsewhere. */
  Bindings: { requestContext?: { requestId?: string } };
  Variables: {
    requestId: string;
    /** Set by `allow`, so only on routes behind it. */
    principal: Principal;
    /** Set by `allow`, on routes that take one. */
    body: Uint8Array;
    /** How many entries the request names, for the log line. */
    entries: number;
    /** Why the service is not ready, where that was asked: for the log line of an answer that is no failure. */
    reasons: string;
  };
};
