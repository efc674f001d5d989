/** The first step: a log, and the files, which say themselves what they are; the officer may say otherwise. */
import { useRef, useState } from "preact/hooks";
import type { Log } from "../context.ts";
import { type Desk, sayError } from "./desk.ts";
import { droppedFiles, MAX_DROPPED, TooManyFiles } from "./dropped.ts";
import type { KindFile } from "./messages.ts";
import { FILE_KINDS } from "./recognise.ts";
import type { Strings } from "./strings.ts";

/** In place of a log while none was chosen; "" is to work without one. */
export const UNCHOSEN = "?";

type Props = {
  t: Strings;
  desk: Desk;
  logs: readonly Log[];
  log: string;
  setLog: (log: string) => void;
  busy: boolean;
  /** What the rows on the page are of, once there are any. */
  read: readonly KindFile[] | undefined;
  readLog: string;
  begin: (files: readonly KindFile[], passphrase: string) => void;
};

export function FilesStep({ t, desk, logs, log, setLog, busy, read, readLog, begin }: Props) {
  const [files, setFiles] = useState<readonly KindFile[]>([]);
  const [isOver, setOver] = useState(false);
  const [isAsked, setAsked] = useState(false);
  const passphrase = useRef<HTMLInputElement>(null);
  const chooser = useRef<HTMLInputElement>(null);
  const [error, setError] = useState<unknown>();
  const add = async (given: readonly File[] | Promise<readonly File[]>): Promise<void> => {
    setError(undefined);
    try {
      const added = [...(await given)];
      const kinds = await desk.ask("recognise", added);
      setFiles((before) => [...before, ...added.map((file, i) => ({ file, is: kinds[i] ?? "events" }))]);
    } catch (caught) {
      setError(caught);
    }
  };
  const has = (...kinds: KindFile["is"][]) => files.some(({ is }) => kinds.includes(is));
  const missing = !has("events")
    ? t.files.needsEvents
    : log === UNCHOSEN
      ? t.files.needsLog
      : !has("records", "keys", "proofs")
        ? t.files.needsOpening
        : undefined;

  return (
    <section aria-labelledby="case-files">
      <h2 id="case-files">{t.files.title}</h2>
      <div class="case-field">
        <label for="case-log">{t.files.log}</label>
        <select
          id="case-log"
          value={log}
          onChange={(event) => setLog(event.currentTarget.value)}
          disabled={busy}
        >
          {log === UNCHOSEN && (
            <option value={UNCHOSEN} disabled>
              {t.files.chooseLog}
            </option>
          )}
          {logs.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
          <option value="">{t.files.noLog}</option>
        </select>
      </div>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: dropping is one way; the button beside it is the other */}
      <div
        class={isOver ? "case-drop case-drop-over" : "case-drop"}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          if (event.dataTransfer !== null) void add(droppedFiles(event.dataTransfer));
        }}
      >
        <p>
          <strong>{t.files.drop}</strong> {t.files.or}{" "}
          <button type="button" onClick={() => chooser.current?.click()}>
            {t.files.choose}
          </button>
        </p>
        <input
          ref={chooser}
          type="file"
          multiple
          hidden
          data-testid="case-chooser"
          onChange={async ({ currentTarget }) => {
            await add([...(currentTarget.files ?? [])]);
            currentTarget.value = "";
          }}
        />
        <p class="case-help">{t.files.what}</p>
      </div>
      {error !== undefined && (
        <p class="case-alert" role="alert">
          {error instanceof TooManyFiles ? t.files.tooMany(MAX_DROPPED) : sayError(error, t)}
        </p>
      )}
      {files.length > 0 && (
        <ul class="case-given" aria-label={t.files.list}>
          {files.map(({ file, is }, i) => (
            <li key={`${i}/${file.name}`}>
              <span class="case-name">{file.name}</span>
              <span class="case-help">{t.files.bytes(file.size)}</span>
              <select
                aria-label={t.files.isOf(file.name)}
                value={is}
                disabled={busy}
                onChange={({ currentTarget }) =>
                  setFiles(
                    files.map((one, j) =>
                      i === j
                        ? { file, is: FILE_KINDS.find((kind) => kind === currentTarget.value) ?? is }
                        : one,
                    ),
                  )
                }
              >
                {FILE_KINDS.map((kind) => (
                  <option key={kind} value={kind}>
                    {t.files.kinds[kind]}
                  </option>
                ))}
              </select>
              <button
                type="button"
                disabled={busy}
                aria-label={t.files.removeOf(file.name)}
                onClick={() => setFiles(files.filter((_, j) => i !== j))}
              >
                {t.files.remove}
              </button>
            </li>
          ))}
        </ul>
      )}
      {has("keys") && (
        <div class="case-field">
          <label for="case-passphrase">{t.files.passphrase}</label>
          <input
            id="case-passphrase"
            ref={passphrase}
            type="password"
            autocomplete="off"
            aria-describedby="case-passphrase-help"
          />
          <span id="case-passphrase-help" class="case-help">
            {t.files.passphraseHelp}
          </span>
        </div>
      )}
      {read !== undefined && (files !== read || log !== readLog) && (
        <p class="case-warning" role="status">
          {t.files.others}
        </p>
      )}
      {isAsked && missing !== undefined && (
        <p class="case-alert" role="alert">
          {missing}
        </p>
      )}
      <p>
        <button
          type="button"
          class="main"
          disabled={busy}
          onClick={() => {
            setAsked(true);
            if (has("events") && log !== UNCHOSEN) begin(files, passphrase.current?.value ?? "");
          }}
        >
          {read !== undefined ? t.files.again : t.files.begin}
        </button>
      </p>
    </section>
  );
}
