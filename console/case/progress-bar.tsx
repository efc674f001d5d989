/** How far the work has come, and the way to stop it. */
import type { Progress } from "./messages.ts";
import type { Strings } from "./strings.ts";

type Props = { t: Strings; progress: Progress; cancel: () => void };

export function ProgressBar({ t, progress: { stage, done, total }, cancel }: Props) {
  const label = t.progress.stages[stage];
  return (
    <div class="case-progress">
      <label for="case-progress">{label}</label>
      <progress id="case-progress" {...(total !== undefined && { value: done, max: Math.max(1, total) })} />
      <span>{t.progress.of(done, total)}</span>
      <button type="button" onClick={cancel}>
        {t.files.cancel}
      </button>
    </div>
  );
}
