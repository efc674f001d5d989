/** What was found, in a few sentences: how many rows, whose keys, and what is still missing. */
import type { Calls, Proven } from "./messages.ts";
import { type Strings, sayCode, sayTold } from "./strings.ts";

type Props = {
  t: Strings;
  opened: Calls["open"]["answer"];
  proven: Proven | undefined;
  busy: boolean;
  resume: () => void;
};

export function Found({ t, opened: { rows, problems, unopened, unread }, proven, busy, resume }: Props) {
  const isDown = proven?.stopped !== undefined;
  return (
    <section aria-labelledby="case-found">
      <h2 id="case-found">{t.found.title}</h2>
      <p>{t.found.summary(rows)}</p>
      {problems.length > 0 && (
        <ul class="case-problems">
          {problems.slice(0, 20).map(({ file, code, message }, i) => (
            <li key={`${i}/${file}`}>
              {message === "" ? t.files_problem(file, sayCode(code, t)) : sayTold({ code, message }, t)}
            </li>
          ))}
        </ul>
      )}
      {unopened > 0 && <p class="case-warning">{t.found.unopened(unopened)}</p>}
      {unread > 0 && <p class="case-warning">{t.found.unread(unread)}</p>}
      {proven?.isElsewhere && <p class="case-warning">{t.found.elsewhere}</p>}
      {proven && <p>{t.found.keys[proven.keysBy]}</p>}
      {proven && !busy && (isDown || proven.missing > 0) && (
        <p class="case-warning" role="status">
          {proven.stopped !== undefined && `${sayCode(proven.stopped, t)} `}
          {isDown ? t.found.stopped(proven.missing) : t.found.offline(proven.missing)}{" "}
        </p>
      )}
      {proven && !busy && (isDown || proven.missing > 0 || proven.pending > 0) && (
        <button type="button" onClick={resume}>
          {t.found.resume}
        </button>
      )}
      <p class="case-help">{t.found.never}</p>
    </section>
  );
}
