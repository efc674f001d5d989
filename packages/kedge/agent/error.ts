/**
 * Why the agent cannot start, or cannot go on. The set is closed.
 *
 * - `config`: the configuration, the flags, or a file that they name cannot be worked with
 * - `address`: a listener's address cannot be had
 */
export type AgentErrorCode = "config" | "address";

/** The message says what to do next, and holds neither PHI nor a secret. */
export class AgentError extends Error {
  readonly code: AgentErrorCode;

  constructor(code: AgentErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AgentError";
    this.code = code;
  }
}
