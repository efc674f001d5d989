/** How a configuration is refused. */
import { expect } from "vitest";
import { ConfigError } from "../../infra/settings.ts";

/** The message of the ConfigError that this throws. */
export function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return error instanceof ConfigError ? error.message : "";
  }
  return expect.fail("it was taken");
}
