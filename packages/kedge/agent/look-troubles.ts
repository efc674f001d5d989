/** What looks over many files have in common. A trouble that the next look does not meet is over. */
import type { Host } from "./source.ts";

export const CANNOT_READ =
  "a file of the source cannot be read: give its reader permission, or look at its disk";

/** Ms by which a file server's clock may differ from this machine's: a file that is older has been as it is for long. */
export const MAX_SKEW = 600_000;

export type LookTroubles = {
  tell(key: string, what: string): void;
  /** The look has ended. */
  end(): void;
};

export function lookTroubles(host: Pick<Host, "trouble">): LookTroubles {
  let before = new Set<string>();
  let now = new Set<string>();
  return {
    tell(key, what) {
      now.add(key);
      host.trouble(key, what);
    },
    end() {
      for (const key of before) if (!now.has(key)) host.trouble(key, undefined);
      before = now;
      now = new Set();
    },
  };
}

/** Of a call to the file system, and so of one file: the others go on. */
export const isFileError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && "syscall" in error;
