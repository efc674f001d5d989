/** The officer's mark that an access is a disclosure to account for, with what 45 CFR 164.528(b)(2) asks for. */
import type { Disclosure } from "@kedge/verify/pack/pack";
import type { Desk } from "./desk.ts";
import type { Detail } from "./messages.ts";
import type { Strings } from "./strings.ts";

const FIELDS = ["recipient", "address", "description", "purpose"] as const;

/** By what is shown by then. */
export type SetDetail = (change: (now: Detail | undefined) => Detail | undefined) => void;

type Props = { t: Strings; desk: Desk; detail: Detail; setDetail: SetDetail };

export function DisclosureForm({ t, desk, detail, setDetail }: Props) {
  const { row, disclosure } = detail;
  const mark = async (marked: Disclosure | undefined): Promise<void> => {
    await desk.ask("mark", { row: row.row, disclosure: marked });
    setDetail((now) => {
      // The reader may have gone on to another row.
      if (now?.row.row !== row.row) return now;
      const { disclosure: _, ...rest } = now;
      return { ...rest, ...(marked && { disclosure: marked }) };
    });
  };
  return (
    <form
      key={row.row}
      class="case-disclosure"
      onSubmit={(event) => {
        event.preventDefault();
        const form = new FormData(event.currentTarget);
        const text = (name: (typeof FIELDS)[number]) => String(form.get(name) ?? "").trim();
        const address = text("address");
        void mark({
          recipient: text("recipient"),
          ...(address !== "" && { address }),
          description: text("description"),
          purpose: text("purpose"),
        });
      }}
    >
      <details open={disclosure !== undefined}>
        <summary>{t.detail.disclosure}</summary>
        {disclosure && <p role="status">{t.detail.marked}</p>}
        <div class="case-fields">
          {FIELDS.map((name) => (
            <div class="case-field" key={name}>
              <label for={`case-${name}`}>{t.detail[name]}</label>
              <input
                id={`case-${name}`}
                name={name}
                required={name !== "address"}
                maxLength={500}
                defaultValue={disclosure?.[name] ?? ""}
                autocomplete="off"
              />
            </div>
          ))}
        </div>
        <button type="submit">{t.detail.mark}</button>{" "}
        {disclosure && (
          <button type="button" onClick={() => mark(undefined)}>
            {t.detail.unmark}
          </button>
        )}
      </details>
    </form>
  );
}
