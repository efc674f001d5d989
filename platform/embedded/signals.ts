/** How what runs until it is interrupted is stopped. */
import { print, report } from "@kedge/verify/cli/output";

/** The first signal stops cleanly, a second one at once: nothing acknowledged is lost either way. */
export function stopOnSignals(close: () => Promise<void>): void {
  let stopping = false;
  const stop = () => {
    if (stopping) process.exit(1);
    stopping = true;
    print("", "Stopping…");
    close().then(
      () => process.exit(0),
      (error: unknown) => {
        report(error);
        process.exit();
      },
    );
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
}
