/** Viewer links: one log, read only, until they expire or are revoked. */
import { MAX_NAME } from "@kedge/cli/contract/limits";
import { useRef, useState } from "preact/hooks";
import { Field, Problem, type ShellProps, useDeed } from "../ui.tsx";
import { Expiry, Grants, LogField, logName } from "./grants.tsx";

const DAY = 86_400_000;
const EXPIRIES = { d1: DAY, d7: 7 * DAY, d30: 30 * DAY, d90: 90 * DAY } as const;

export function LinksPage(props: ShellProps) {
  const { t, service, logs } = props;
  return (
    <Grants
      page={props}
      words={t.links}
      list={() => service.links()}
      revoke={(id) => service.revokeLink(id)}
      own={[{ title: t.links.columns.log, cell: ({ log }) => logName(log, logs) }]}
      form={(onMade) =>
        logs.length > 0 && (
          <NewLink {...props} onMade={(link) => onMade(`${location.origin}/#link=${link}`)} />
        )
      }
    />
  );
}

function NewLink({ t, service, asking, logs, onMade }: ShellProps & { onMade(link: string): void }) {
  const deed = useDeed();
  const [log, setLog] = useState(logs[0]?.id ?? "");
  const [expiry, setExpiry] = useState<keyof typeof EXPIRIES>("d7");
  const name = useRef<HTMLInputElement>(null);
  const make = async () => {
    const { link } = await asking(() =>
      service.createLink({
        name: name.current?.value.trim() ?? "",
        log,
        expiresAt: new Date(Date.now() + EXPIRIES[expiry]).toISOString(),
      }),
    );
    if (name.current) name.current.value = "";
    onMade(link);
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (name.current?.value.trim() !== "") deed.run(make);
      }}
    >
      <h2>{t.links.make}</h2>
      <Field label={t.links.name} hint={t.links.nameHint}>
        {(ids) => <input {...ids} ref={name} name="name" required maxLength={MAX_NAME} autocomplete="off" />}
      </Field>
      <LogField label={t.keys.log} logs={logs} value={log} onChange={setLog} />
      <Expiry
        t={t}
        label={t.keys.expires}
        choices={t.links.expiry}
        value={expiry}
        onChange={(to) => setExpiry(to)}
      />
      <button type="submit" class="main" aria-disabled={deed.isBusy}>
        {t.links.go}
      </button>
      {deed.error !== undefined && <Problem t={t} error={deed.error} />}
    </form>
  );
}
