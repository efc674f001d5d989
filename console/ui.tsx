/** The few parts that pages share. */
import { ClientError } from "@kedge/verify/error";
import type { ComponentChildren, JSX } from "preact";
import { useCallback, useEffect, useId, useRef, useState } from "preact/hooks";
import type { PageProps } from "./context.ts";
import type { Formats } from "./format.ts";
import type { Service } from "./session.ts";
import type { Strings } from "./strings/en.ts";

/** What a page of the shell's own is given. */
export type ShellProps = PageProps & {
  readonly t: Strings;
  readonly f: Formats;
  readonly service: Service;
};

// ---- asking ------------------------------------------------------------------------------------------------------

export type Asked<T> = {
  readonly value?: T;
  readonly error?: unknown;
  readonly isBusy: boolean;
  again(): void;
};

/** What `work` answers, asked once and whenever `again` is called. A late answer to an earlier question is dropped. */
export function useAsked<T>(work: () => Promise<T>, of: readonly unknown[]): Asked<T> {
  const [state, setState] = useState<Omit<Asked<T>, "again">>({ isBusy: true });
  const latest = useRef(0);
  const again = useCallback(() => {
    latest.current += 1;
    const mine = latest.current;
    const set = (next: Omit<Asked<T>, "again">) => {
      if (latest.current === mine) setState(next);
    };
    setState(({ value }) => ({ isBusy: true, ...(value !== undefined && { value }) }));
    work().then(
      (value) => set({ value, isBusy: false }),
      (error: unknown) => set({ error, isBusy: false }),
    );
  }, of);
  useEffect(() => {
    again();
    return () => {
      latest.current += 1;
    };
  }, [again]);
  return { ...state, again };
}

/** One deed at a time, such as a form's. */
export function useDeed(): {
  isBusy: boolean;
  error?: unknown;
  run(work: () => Promise<void>): void;
  clear(): void;
} {
  const [state, setState] = useState<{ isBusy: boolean; error?: unknown }>({ isBusy: false });
  const run = (work: () => Promise<void>) => {
    if (state.isBusy) return;
    setState({ isBusy: true });
    work().then(
      () => setState({ isBusy: false }),
      (error: unknown) => setState({ isBusy: false, error }),
    );
  };
  return { ...state, run, clear: () => setState({ isBusy: false }) };
}

/** What is read a page at a time, newest first. `ask` is given where to go on. */
export function usePages<P extends { readonly next?: string | undefined }>(
  ask: (from?: string) => Promise<P>,
): { first: Asked<P>; pages: readonly P[]; older: Older } {
  const first = useAsked(() => ask(), []);
  const [more, setMore] = useState<readonly P[]>([]);
  const { isBusy, error, run } = useDeed();
  const pages = first.value === undefined ? [] : [first.value, ...more];
  const next = pages.at(-1)?.next;
  const read = async () => {
    const page = await ask(next);
    setMore([...more, page]);
  };
  return { first, pages, older: { isBusy, error, ...(next !== undefined && { read: () => run(read) }) } };
}

/** `read` is absent where there is no older page. */
type Older = { readonly isBusy: boolean; readonly error?: unknown; read?(): void };

export function OlderButton({ t, older, words }: { t: Strings; older: Older; words: string }) {
  return (
    <>
      {older.error !== undefined && <Problem t={t} error={older.error} />}
      {older.read && (
        <div class="beside">
          <button type="button" aria-disabled={older.isBusy} onClick={older.read}>
            {words}
          </button>
        </div>
      )}
    </>
  );
}

// ---- telling -----------------------------------------------------------------------------------------------------

type ProblemProps = { t: Strings; error: unknown; again?: () => void; words?: string };

/** What went wrong, and what to do. */
export function Problem({ t, error, again, words }: ProblemProps) {
  const isClient = error instanceof ClientError;
  const text = words ?? (isClient ? t.errors[error.code] : t.unexpected);
  const hasDetails = isClient && ["invalid", "server", "protocol", "network"].includes(error.code);
  return (
    <div class="notice bad" role="alert">
      <p>{text}</p>
      {hasDetails && (
        <details>
          <summary>{t.details}</summary>
          <p class="small">{error.message}</p>
        </details>
      )}
      {again && (
        <button type="button" onClick={again}>
          {t.again}
        </button>
      )}
    </div>
  );
}

export const Loading = ({ t }: { t: Strings }) => (
  <p class="loading" role="status">
    {t.loading}
  </p>
);

/** A time in the reader's zone; hovering shows it in UTC. */
export function Time({ f, at }: { f: Formats; at: string }) {
  return (
    <time dateTime={at} title={at}>
      {f.time(at)}
    </time>
  );
}

/** A table that scrolls on its own where it is wider than the page. */
export function Table({ caption, children }: { caption: string; children: ComponentChildren }) {
  const id = useId();
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard (WCAG 2.1.1)
    <section class="scroll" tabIndex={0} aria-labelledby={id}>
      <table>
        <caption id={id}>{caption}</caption>
        {children}
      </table>
    </section>
  );
}

type FieldProps = {
  label: string;
  hint?: string | undefined;
  error?: string | undefined;
  children: (ids: FieldIds) => JSX.Element;
};
export type FieldIds = { id: string; "aria-describedby"?: string; "aria-invalid"?: true };

/** A label, what to enter, and what was wrong with it. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {children({
        id,
        ...(described !== "" && { "aria-describedby": described }),
        ...(error && { "aria-invalid": true as const }),
      })}
      {error && (
        <p class="wrong" id={`${id}-error`} role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

/** Is open as long as it is there. Escape and `onClose` are one. */
export function Dialog({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose(): void;
  children: ComponentChildren;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

type ConfirmProps = {
  t: Strings;
  title: string;
  text: string;
  action: string;
  onConfirm(): Promise<void>;
  onClose(): void;
};

export function Confirm({ t, title, text, action, onConfirm, onClose }: ConfirmProps) {
  const deed = useDeed();
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{text}</p>
      {deed.error !== undefined && <Problem t={t} error={deed.error} />}
      <div class="actions">
        <button type="button" onClick={onClose}>
          {t.cancel}
        </button>
        <button
          type="button"
          class="danger"
          aria-disabled={deed.isBusy}
          onClick={() =>
            deed.run(async () => {
              await onConfirm();
              onClose();
            })
          }
        >
          {action}
        </button>
      </div>
    </Dialog>
  );
}

type OnceProps = { t: Strings; title: string; text: string; label: string; secret: string; onClose(): void };

/** A secret, shown once: it is in this dialog and nowhere else. */
export function Once({ t, title, text, label, secret, onClose }: OnceProps) {
  const [said, setSaid] = useState<"copied" | "copyFailed">();
  const field = useRef<HTMLTextAreaElement>(null);
  const copy = () => {
    field.current?.select();
    // Where the page is not served securely there is no clipboard at all.
    const write = async () => await navigator.clipboard.writeText(secret);
    write().then(
      () => setSaid("copied"),
      () => setSaid("copyFailed"),
    );
  };
  return (
    // Not by Escape: it is shown once.
    <Dialog title={title} onClose={() => field.current?.focus()}>
      <p>{text}</p>
      <Field label={label}>
        {(ids) => (
          <textarea {...ids} ref={field} class="secret" readOnly rows={3} value={secret} spellcheck={false} />
        )}
      </Field>
      <p role="status">{said && t.once[said]}</p>
      <div class="actions">
        <button type="button" onClick={copy}>
          {t.once.copy}
        </button>
        <button type="button" class="main" onClick={onClose}>
          {t.once.done}
        </button>
      </div>
    </Dialog>
  );
}
