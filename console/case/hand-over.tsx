/** What is handed over: the evidence pack with its case form, all proofs, the page for one patient. */
import { LANGUAGES, PACK_KINDS } from "@kedge/verify/pack/pack";
import { useEffect, useState } from "preact/hooks";
import type { PageProps } from "../context.ts";
import { type Desk, DeskError } from "./desk.ts";
import { handOut } from "./hand-out.ts";
import type { Calls, CaseForm, Made, View, Wanted } from "./messages.ts";
import type { Strings } from "./strings.ts";

type Props = {
  t: Strings;
  desk: Desk;
  page: PageProps;
  /** What was made of other files, or under other filters, is not told beside these. */
  opened: Calls["open"]["answer"];
  log: string;
  wanted: Wanted;
  view: View;
  busy: boolean;
  attempt: (work: () => Promise<void>) => Promise<void>;
};

/** Without its bytes, which are with the officer. */
type AboutMade = Omit<Made, "bytes">;

const TEXTS = ["number", "requestedBy", "reason", "preparedBy"] as const;

export function HandOver({ t, desk, page, opened, log, wanted, view, busy, attempt }: Props) {
  const [form, setForm] = useState<CaseForm>({
    ...{ kind: "access", language: page.language, number: "", requestedBy: "", reason: "" },
    ...{ preparedBy: page.session.name ?? "", withheld: false },
  });
  const [made, setMade] = useState<AboutMade>();
  useEffect(() => setMade(undefined), [opened, wanted]);
  const make = (call: "pack" | "patientPage") =>
    attempt(async () => {
      setMade(undefined);
      const verifier = await verifierPage();
      const kind = call === "pack" ? "pack" : "patient-page";
      const done = await handOut(page, { kind, log }, () => desk.ask(call, { form, wanted, verifier }));
      if (done === undefined) return;
      const { bytes: _, ...about } = done;
      setMade(about);
      page.announce(sayMade(about, t));
    });
  return (
    <section aria-labelledby="case-pack">
      <h2 id="case-pack">{t.pack.title}</h2>
      <p>{t.pack.lead}</p>
      <fieldset class="case-kinds">
        <legend>{t.pack.kind}</legend>
        {PACK_KINDS.map((kind) => (
          <label key={kind} class="case-check">
            <input
              type="radio"
              name="case-kind"
              checked={form.kind === kind}
              onChange={() => setForm({ ...form, kind })}
            />
            {t.pack.kinds[kind]}
          </label>
        ))}
      </fieldset>
      <div class="case-fields">
        {TEXTS.map((name) => (
          <div class="case-field" key={name}>
            <label for={`case-pack-${name}`}>{t.pack[name]}</label>
            <input
              id={`case-pack-${name}`}
              value={form[name]}
              maxLength={500}
              autocomplete="off"
              onInput={({ currentTarget }) => setForm({ ...form, [name]: currentTarget.value })}
            />
          </div>
        ))}
        <div class="case-field">
          <label for="case-pack-language">{t.pack.language}</label>
          <select
            id="case-pack-language"
            value={form.language}
            onChange={({ currentTarget }) =>
              setForm({
                ...form,
                language: LANGUAGES.find((one) => one === currentTarget.value) ?? form.language,
              })
            }
          >
            {LANGUAGES.map((language) => (
              <option key={language} value={language}>
                {t.pack.languages[language]}
              </option>
            ))}
          </select>
        </div>
      </div>
      <label class="case-check">
        <input
          type="checkbox"
          checked={form.withheld}
          onChange={({ currentTarget }) => setForm({ ...form, withheld: currentTarget.checked })}
        />
        {t.pack.withhold}
      </label>
      <div class="case-actions">
        <button type="button" class="main" disabled={busy || view.found === 0} onClick={() => make("pack")}>
          {t.pack.make}
        </button>
        <button
          type="button"
          disabled={busy || view.found === 0}
          onClick={() =>
            attempt(async () => {
              await handOut(page, { kind: "proofs", log }, () => desk.ask("proofs", undefined));
            })
          }
        >
          {t.pack.proofs}
        </button>
        <button
          type="button"
          disabled={busy || view.found === 0 || wanted.filter.patient === undefined}
          aria-describedby="case-patient-help"
          onClick={() => make("patientPage")}
        >
          {t.pack.patient}
        </button>
      </div>
      <p class="case-help" id="case-patient-help">
        {t.pack.patientHelp}
      </p>
      {wanted.verdict !== undefined && <p class="case-help">{t.pack.allVerdicts}</p>}
      {view.found === 0 && <p class="case-help">{t.pack.noRows}</p>}
      {made !== undefined && <p class="case-made">{sayMade(made, t)}</p>}
    </section>
  );
}

const sayMade = ({ name, count, left = 0 }: AboutMade, t: Strings): string => t.pack.made(name, count, left);

/** The verifier page goes into each pack. It comes from where this page came from. */
async function verifierPage(): Promise<Uint8Array<ArrayBuffer>> {
  let answer: Response | undefined;
  try {
    answer = await fetch("/verify.html");
  } catch {
    answer = undefined;
  }
  if (answer?.ok) return new Uint8Array(await answer.arrayBuffer());
  throw new DeskError("no_verifier", "");
}
