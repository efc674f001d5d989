/** How what runs until it is interrupted is stopped. */
import { print, report } from "@kedge/verify/cli/output";

/**
 * One Ctrl-C under npm, or one stop of a service manager, is two signals: it goes to the whole group, and npm passes its
 * own on. What comes so soon after the first is the same request.
 */
const SAME_MS = 1_000;

/** The first signal stops cleanly, a second one at once: nothing acknowledged is lost either way. */
export function stopOnSignals(close: () => Promise<void>): void {
  let since: number | undefined;
  const stop = () => {
    const now = performance.now();
    if (since !== undefined && now - since < SAME_MS) return;
    if (since !== undefined) process.exit(1);
    since = now;
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
