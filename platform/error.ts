/** Everything that can go wrong in service/, as its callers may tell it apart. */
export type ServiceErrorCode =
  | "throttled"
  | "unavailable"
  | "condition_failed"
  | "forbidden"
  | "not_found"
  | "invalid"
  | "conflict"
  | "rollback"
  | "corrupt"
  | "signer";

/** The one error of service/: switch on `code`; `cause` is what a dependency threw, for the operator's log. */
export class ServiceError extends Error {
  override readonly name = "ServiceError";
  readonly code: ServiceErrorCode;

  constructor(code: ServiceErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
