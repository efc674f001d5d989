/** A sign for each verdict, of a shape of its own: no reader has to tell colours apart. */
import type { RecordVerdict } from "@kedge/verify/proof/verdict";

const PATHS: Record<RecordVerdict, string> = {
  unchanged: "M7.5 12.5l3 3 6-7",
  changed: "M8.5 8.5l7 7m0-7l-7 7",
  untold: "M9.3 9.4a2.8 2.8 0 1 1 4.2 2.4c-.9.5-1.5 1.1-1.5 2.1m0 2.9v.1",
};
/** A round, a square on its corner, and a square. */
const FRAMES: Record<RecordVerdict, string> = {
  unchanged: "M12 2a10 10 0 1 1 0 20a10 10 0 0 1 0-20z",
  changed: "M12 1l11 11l-11 11l-11-11z",
  untold: "M5 3h14a2 2 0 0 1 2 2v14a2 2 0 0 1-2 2h-14a2 2 0 0 1-2-2v-14a2 2 0 0 1 2-2z",
};

export const VerdictIcon = ({ verdict }: { verdict: RecordVerdict }) => (
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path class="frame" d={FRAMES[verdict]} />
    <path class="sign" d={PATHS[verdict]} />
  </svg>
);
