/**
 * Why a keyring cannot be used. The set is closed. No message quotes a key, a passphrase or what a command wrote.
 *
 * - `absent`: there is neither a keyring nor a tenant key to begin one with
 * - `damaged`: the file is not a keyring, or contradicts itself
 * - `sealed`: it is sealed with a passphrase, and none was given
 * - `wrong_key`: the passphrase, or what the command unwrapped, does not open it
 * - `command_failed`: the command that holds the sealing key failed, took too long, or wrote too much
 * - `in_use`: another process is changing it
 * - `unwritable`: the file or its folder cannot be written
 * - `refused`: what was asked for would lose what is still needed, such as the current epoch
 */
export type KeyringErrorCode =
  | "absent"
  | "damaged"
  | "sealed"
  | "wrong_key"
  | "command_failed"
  | "in_use"
  | "unwritable"
  | "refused";

export class KeyringError extends Error {
  readonly code: KeyringErrorCode;

  constructor(code: KeyringErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "KeyringError";
    this.code = code;
  }
}
