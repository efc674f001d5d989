/** All logs that may be read, each with how far it has come. */
import { MAX_NAME } from "@kedge/cli/contract/limits";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Log } from "../context.ts";
import { Field, Problem, type ShellProps, Table, Time, useAsked, useDeed } from "../ui.tsx";

/** Logs that are asked about at once: a tenant may have a thousand. */
const AT_ONCE = 20;

const STAGES = ["timestamped", "witnessed", "anchored", "sealed"] as const;

export function LogsPage(props: ShellProps) {
  const { t, logs, session } = props;
  const [shown, setShown] = useState(AT_ONCE);
  const isAdmin = session.scopes.includes("admin");
  const { columns } = t.logs;
  return (
    <>
      <h1 tabIndex={-1}>{t.logs.title}</h1>
      <p class="lead">{t.logs.lead}</p>
      {logs.length === 0 ? (
        <p>{isAdmin ? t.logs.none : t.logs.noneYours}</p>
      ) : (
        <Table caption={t.logs.caption}>
          <thead>
            <tr>
              <th scope="col">{columns.name}</th>
              <th scope="col" class="number">
                {columns.entries}
              </th>
              <th scope="col">{columns.newest}</th>
              <th scope="col">{columns.waiting}</th>
              <th scope="col">{columns.evidence}</th>
            </tr>
          </thead>
          <tbody>
            {logs.slice(0, shown).map((log) => (
              <LogRow key={log.id} {...props} log={log} />
            ))}
          </tbody>
        </Table>
      )}
      {logs.length > shown && (
        <button type="button" onClick={() => setShown(shown + AT_ONCE)}>
          {t.logs.more}
        </button>
      )}
      {isAdmin && <NewLog {...props} />}
    </>
  );
}

function LogRow({ t, f, client, asking, log }: ShellProps & { log: Log }) {
  const asked = useAsked(() => asking(() => client.progress(log.id)), [log.id]);
  const [now, setNow] = useState(Date.now());
  useEffect(() => setNow(Date.now()), [asked.value]);
  const { value, error, again } = asked;
  const { columns } = t.logs;
  const stage = value && STAGES.find((each) => (value[each]?.size ?? 0) > 0);
  return (
    <tr>
      <th scope="row">
        <a href={`#/logs/${log.id}`}>{log.name}</a>
      </th>
      {error !== undefined ? (
        <td colSpan={4}>
          <Problem t={t} error={error} again={again} />
        </td>
      ) : value === undefined ? (
        <td colSpan={4}>{t.loading}</td>
      ) : (
        <>
          <td class="number" data-label={columns.entries}>
            {f.number(value.sealed?.size ?? 0)}
          </td>
          <td data-label={columns.newest}>
            {value.sealed ? <Time f={f} at={value.sealed.at} /> : t.logs.never}
          </td>
          <td data-label={columns.waiting}>
            {value.pendingSince === undefined
              ? t.logs.noneWaiting
              : t.logs.waiting(f.span(now - Date.parse(value.pendingSince)))}
          </td>
          <td data-label={columns.evidence}>{stage === undefined ? "–" : t.logs.stages[stage]}</td>
        </>
      )}
    </tr>
  );
}

function NewLog({ t, client, asking, announce, reloadLogs }: ShellProps) {
  const deed = useDeed();
  const [made, setMade] = useState<string>();
  const input = useRef<HTMLInputElement>(null);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        const name = input.current?.value.trim() ?? "";
        if (name === "") return input.current?.focus();
        deed.run(async () => {
          await asking(() => client.createLog(name));
          if (input.current) input.current.value = "";
          setMade(name);
          announce(t.logs.made(name));
          reloadLogs();
        });
      }}
    >
      <h2>{t.logs.make}</h2>
      <Field label={t.logs.makeName} hint={t.logs.makeHint}>
        {(ids) => <input {...ids} ref={input} name="name" required maxLength={MAX_NAME} autocomplete="off" />}
      </Field>
      <button type="submit" class="main" aria-disabled={deed.isBusy}>
        {t.logs.makeGo}
      </button>
      {made !== undefined && <p class="good">{t.logs.made(made)}</p>}
      {deed.error !== undefined && <Problem t={t} error={deed.error} />}
    </form>
  );
}
