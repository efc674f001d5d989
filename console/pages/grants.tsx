/** What API keys and viewer links have in common: they are made, shown once, listed, and revoked. */
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { Confirm, Field, Loading, Once, Problem, type ShellProps, Table, Time, useAsked } from "../ui.tsx";

type Grant = {
  readonly id: string;
  readonly name: string;
  readonly createdAt: string;
  readonly expiresAt?: string | undefined;
  readonly revokedAt?: string | undefined;
};

type Words = {
  readonly title: string;
  readonly lead: string;
  readonly caption: string;
  readonly none: string;
  readonly columns: Readonly<Record<"name" | "created" | "expires" | "state" | "act", string>>;
  readonly made: string;
  readonly once: string;
  readonly secret: string;
  confirm(name: string): string;
  readonly confirmText: string;
  revoked(name: string): string;
};

type GrantsProps<G extends Grant> = {
  readonly page: ShellProps;
  readonly words: Words;
  list(): Promise<readonly G[]>;
  revoke(id: string): Promise<void>;
  /** Its own columns, after the name. */
  readonly own: readonly { readonly title: string; cell(grant: G): ComponentChildren }[];
  /** Makes one; `onMade` gets the secret that is shown once. */
  form(onMade: (secret: string) => void): ComponentChildren;
};

export function Grants<G extends Grant>({ page, words, list, revoke, own, form }: GrantsProps<G>) {
  const { t, f, asking, announce } = page;
  const grants = useAsked(() => asking(list), []);
  const [revoking, setRevoking] = useState<G>();
  const [secret, setSecret] = useState<string>();
  const { columns } = words;
  // Before, the list would push the form down under the pointer; after, it stays, and what was typed in it.
  const isListed = useRef(false);
  if (!grants.isBusy) isListed.current = true;
  return (
    <>
      <h1 tabIndex={-1}>{words.title}</h1>
      <p class="lead">{words.lead}</p>
      {grants.error !== undefined && <Problem t={t} error={grants.error} again={grants.again} />}
      {grants.value === undefined && grants.isBusy && <Loading t={t} />}
      {grants.value?.length === 0 && <p>{words.none}</p>}
      {grants.value !== undefined && grants.value.length > 0 && (
        <Table caption={words.caption}>
          <thead>
            <tr>
              <th scope="col">{columns.name}</th>
              {own.map(({ title }) => (
                <th scope="col" key={title}>
                  {title}
                </th>
              ))}
              <th scope="col">{columns.created}</th>
              <th scope="col">{columns.expires}</th>
              <th scope="col">{columns.state}</th>
              <th scope="col">{columns.act}</th>
            </tr>
          </thead>
          <tbody>
            {[...grants.value].sort(byNewest).map((grant) => (
              <tr key={grant.id}>
                <th scope="row">{grant.name}</th>
                {own.map(({ title, cell }) => (
                  <td key={title} data-label={title}>
                    {cell(grant)}
                  </td>
                ))}
                <td data-label={columns.created}>
                  <Time f={f} at={grant.createdAt} />
                </td>
                <td data-label={columns.expires}>
                  {grant.expiresAt === undefined ? t.keys.noExpiry : <Time f={f} at={grant.expiresAt} />}
                </td>
                <td data-label={columns.state}>
                  <State {...page} of={grant} />
                </td>
                <td>
                  {grant.revokedAt === undefined && (
                    <button
                      type="button"
                      aria-label={t.keys.revokeOf(grant.name)}
                      onClick={() => setRevoking(grant)}
                    >
                      {t.keys.revoke}
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
      {isListed.current &&
        form((made) => {
          setSecret(made);
          grants.again();
        })}
      {revoking && (
        <Confirm
          t={t}
          title={words.confirm(revoking.name)}
          text={words.confirmText}
          action={t.keys.revoke}
          onConfirm={async () => {
            await asking(() => revoke(revoking.id));
            announce(words.revoked(revoking.name));
            grants.again();
          }}
          onClose={() => setRevoking(undefined)}
        />
      )}
      {secret !== undefined && (
        <Once
          t={t}
          title={words.made}
          text={words.once}
          label={words.secret}
          secret={secret}
          onClose={() => setSecret(undefined)}
        />
      )}
    </>
  );
}

const byNewest = (a: Grant, b: Grant): number => b.createdAt.localeCompare(a.createdAt);

export const logName = (id: string | undefined, logs: ShellProps["logs"]): string | undefined =>
  logs.find((log) => log.id === id)?.name ?? id;

/** Of an API key or a viewer link, in words beside the colour. */
function State({ t, f, of }: ShellProps & { of: Grant }) {
  const { state } = t.keys;
  if (of.revokedAt !== undefined) return <span class="state bad">{state.revoked(f.time(of.revokedAt))}</span>;
  const isOver = of.expiresAt !== undefined && Date.parse(of.expiresAt) <= Date.now();
  return isOver ? <span class="state">{state.expired}</span> : <span class="state good">{state.valid}</span>;
}

type LogFieldProps = {
  label: string;
  hint?: string | undefined;
  logs: ShellProps["logs"];
  /** The first choice, whose value is "": no log alone. */
  every?: string;
  value: string;
  isDisabled?: boolean;
  onChange(to: string): void;
};

/** Of which log. */
export function LogField({ label, hint, logs, every, value, isDisabled = false, onChange }: LogFieldProps) {
  return (
    <Field label={label} hint={hint}>
      {(ids) => (
        <select
          {...ids}
          name="log"
          value={value}
          disabled={isDisabled}
          onChange={({ currentTarget }) => onChange(currentTarget.value)}
        >
          {every !== undefined && <option value="">{every}</option>}
          {logs.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

type ExpiryProps<Choice extends string> = {
  t: ShellProps["t"];
  label: string;
  choices: Readonly<Record<Choice, string>>;
  value: Choice;
  onChange(to: Choice): void;
};

export function Expiry<Choice extends string>({ label, choices, value, onChange }: ExpiryProps<Choice>) {
  const names = keysOf(choices);
  return (
    <Field label={label}>
      {(ids) => (
        <select
          {...ids}
          name="expires"
          value={value}
          onChange={({ currentTarget }) => {
            const chosen = names.find((name) => name === currentTarget.value);
            if (chosen !== undefined) onChange(chosen);
          }}
        >
          {names.map((name) => (
            <option key={name} value={name}>
              {choices[name]}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

function keysOf<Key extends string>(of: Readonly<Record<Key, unknown>>): Key[] {
  const keys: Key[] = [];
  for (const key in of) keys.push(key);
  return keys;
}
