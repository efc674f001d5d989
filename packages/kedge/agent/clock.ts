/**
 * What time it is, by two clocks. This machine's may jump, by years, either way; the service's is a second opinion. Each
 * alone may be wrong, so an hour is over once both say so: a manifest that comes late is complete, one that comes too early
 * is not.
 */
export type Clock = {
  /** By this machine. Ms since the epoch, as all of these. */
  wall(): number;
  /** The earlier of the two; undefined until the service has told its time in this run. */
  trusted(): number | undefined;
  /** How far this machine's clock is ahead of the service's. */
  ahead(): number | undefined;
  /** Whether it has told its time within so many ms. */
  isFresh(ms: number): boolean;
  /** The service said that it was `time`, just now. */
  heard(time: number): void;
};

/** @param elapsed ms of a clock that does not jump, whatever it began with */
export function openClock(wall = Date.now, elapsed = () => performance.now()): Clock {
  let offset: number | undefined;
  let heardAt = Number.NEGATIVE_INFINITY;
  const service = () => (offset === undefined ? undefined : offset + elapsed());
  return {
    wall,
    trusted() {
      const time = service();
      return time === undefined ? undefined : Math.min(wall(), time);
    },
    ahead() {
      const time = service();
      return time === undefined ? undefined : wall() - time;
    },
    isFresh: (ms) => elapsed() - heardAt <= ms,
    heard(time) {
      if (!Number.isFinite(time)) return;
      heardAt = elapsed();
      offset = time - heardAt;
    },
  };
}
