/** What the agent tells its operator: lines of JSON on stderr, troubles until they are over, and counts. No PHI, no secret. */

export type Level = "info" | "warn" | "error";
export type Trouble = {
  /** A source's name, or the part of the agent. */
  scope: string;
  key: string;
  what: string;
  /** Ms since the epoch. */
  since: number;
};

export type Report = {
  log(level: Level, event: string, fields?: Readonly<Record<string, string | number>>): void;
  /** Said once until it is over, which is undefined. `what` is a sentence without its end. */
  trouble(scope: string, key: string, what: string | undefined): void;
  troubles(): readonly Trouble[];
  count(source: string, counter: string, by?: number): void;
  counts(): readonly { source: string; counter: string; value: number }[];
};

export function openReport(
  write: (line: string) => unknown = (line) => process.stderr.write(line),
  now: () => number = Date.now,
): Report {
  const troubles = new Map<string, Trouble>();
  const counts = new Map<string, { source: string; counter: string; value: number }>();
  const log: Report["log"] = (level, event, fields) => {
    write(`${JSON.stringify({ time: new Date(now()).toISOString(), level, event, ...fields })}\n`);
  };
  return {
    log,
    trouble(scope, key, what) {
      const id = `${scope}\0${key}`;
      const known = troubles.get(id);
      if (what === undefined) {
        if (!troubles.delete(id)) return;
        log("info", "over", { scope, trouble: key });
      } else {
        troubles.set(id, { scope, key, what, since: known?.since ?? now() });
        if (known === undefined) log("warn", "trouble", { scope, trouble: key, what });
      }
    },
    troubles: () => [...troubles.values()],
    count(source, counter, by = 1) {
      const id = `${source}\0${counter}`;
      const known = counts.get(id);
      if (known === undefined) counts.set(id, { source, counter, value: by });
      else known.value += by;
    },
    counts: () => [...counts.values()],
  };
}
