/** API keys: made, shown once, and revoked. */
import { SCOPES } from "@kedge/cli/contract/ids";
import { MAX_NAME } from "@kedge/cli/contract/limits";
import { useRef, useState } from "preact/hooks";
import { Field, Problem, type ShellProps, useDeed } from "../ui.tsx";
import { Expiry, Grants, LogField, logName } from "./grants.tsx";

const DAY = 86_400_000;
const EXPIRIES = { d30: 30 * DAY, d90: 90 * DAY, d365: 365 * DAY, never: undefined } as const;

export function KeysPage(props: ShellProps) {
  const { t, client, logs } = props;
  const { columns } = t.keys;
  return (
    <Grants
      page={props}
      words={t.keys}
      list={() => client.keys()}
      revoke={(id) => client.revokeKey(id)}
      own={[
        { title: columns.scopes, cell: ({ scopes }) => scopesText(props, scopes) },
        { title: columns.log, cell: ({ log }) => logName(log, logs) ?? t.keys.allLogs },
      ]}
      form={(onMade) => <NewKey {...props} onMade={onMade} />}
    />
  );
}

function scopesText({ t, f }: ShellProps, scopes: readonly string[]): string {
  return f.list(
    scopes.map((scope) => Object.entries(t.keys.scopes).find(([name]) => name === scope)?.[1] ?? scope),
  );
}

function NewKey({ t, client, asking, logs, onMade }: ShellProps & { onMade(apiKey: string): void }) {
  const deed = useDeed();
  const [scopes, setScopes] = useState<readonly string[]>(["write"]);
  const [log, setLog] = useState("");
  const [expiry, setExpiry] = useState<keyof typeof EXPIRIES>("d365");
  const name = useRef<HTMLInputElement>(null);
  const isAdmin = scopes.includes("admin");
  const make = async () => {
    const after = EXPIRIES[expiry];
    const { apiKey } = await asking(() =>
      client.createKey({
        name: name.current?.value.trim() ?? "",
        scopes: [...scopes],
        ...(log !== "" && !isAdmin && { log }),
        ...(after !== undefined && { expiresAt: new Date(Date.now() + after).toISOString() }),
      }),
    );
    if (name.current) name.current.value = "";
    onMade(apiKey);
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (scopes.length > 0 && name.current?.value.trim() !== "") deed.run(make);
      }}
    >
      <h2>{t.keys.make}</h2>
      <Field label={t.keys.name} hint={t.keys.nameHint}>
        {(ids) => <input {...ids} ref={name} name="name" required maxLength={MAX_NAME} autocomplete="off" />}
      </Field>
      <fieldset>
        <legend>{t.keys.may}</legend>
        {SCOPES.map((scope) => (
          <label key={scope} class="choice">
            <input
              type="checkbox"
              name="scope"
              value={scope}
              checked={scopes.includes(scope)}
              onChange={({ currentTarget: { checked } }) =>
                setScopes(SCOPES.filter((each) => (each === scope ? checked : scopes.includes(each))))
              }
            />
            {t.keys.scopes[scope]}
          </label>
        ))}
        {scopes.length === 0 && (
          <p class="wrong" role="alert">
            {t.keys.scopeNeeded}
          </p>
        )}
      </fieldset>
      <LogField
        label={t.keys.log}
        hint={isAdmin ? t.keys.adminLog : undefined}
        logs={logs}
        every={t.keys.allLogs}
        value={isAdmin ? "" : log}
        isDisabled={isAdmin}
        onChange={setLog}
      />
      <Expiry
        t={t}
        label={t.keys.expires}
        choices={t.keys.expiry}
        value={expiry}
        onChange={(to) => setExpiry(to)}
      />
      <button type="submit" class="main" aria-disabled={deed.isBusy}>
        {t.keys.go}
      </button>
      {deed.error !== undefined && <Problem t={t} error={deed.error} />}
    </form>
  );
}
