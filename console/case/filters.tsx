/** What the officer looks for. */
import type { PackFilter } from "@kedge/verify/pack/pack";
import type { RecordVerdict } from "@kedge/verify/proof/verdict";
import type { Sort, Wanted } from "./messages.ts";
import type { Strings } from "./strings.ts";

const TEXTS = ["user", "patient", "action", "recordType"] as const;
const TRACE = ["gtin", "lot", "serial"] as const;
const VERDICTS = ["unchanged", "changed", "untold"] as const satisfies readonly RecordVerdict[];

/** The form as it is filled in. `from` and `to` are days, `hoursFrom` and `hoursTo` times of the day. */
export type Filters = Record<
  | (typeof TEXTS)[number]
  | (typeof TRACE)[number]
  | "from"
  | "to"
  | "hoursFrom"
  | "hoursTo"
  | "list"
  | "verdict",
  string
> & { breakTheGlass: boolean; sameSurname: boolean; afterHours: boolean };

export const NO_FILTERS: Filters = {
  ...{ from: "", to: "", user: "", patient: "", action: "", recordType: "", gtin: "", lot: "", serial: "" },
  ...{ list: "", verdict: "", breakTheGlass: false, sameSurname: false },
  ...{ afterHours: false, hoursFrom: "18:00", hoursTo: "07:00" },
};

export function wantedOf(filters: Filters, zone: string, sort: Sort): Wanted {
  const filter: PackFilter = {};
  const from = midnight(filters.from, 0);
  const to = midnight(filters.to, 1);
  if (from !== undefined) filter.from = from;
  if (to !== undefined) filter.to = to;
  for (const name of [...TEXTS, ...TRACE]) {
    // A number may be copied from the table, which puts "MRN" before it.
    const text = filters[name].trim().replace(name === "patient" ? /^MRN\s+/ : "", "");
    if (text !== "") filter[name] = text;
  }
  if (filters.breakTheGlass) filter.breakTheGlass = true;
  if (filters.sameSurname) filter.sameSurname = true;
  if (filters.afterHours) filter.afterHours = { from: filters.hoursFrom, to: filters.hoursTo };
  const list = filters.list.split("\n").flatMap((line) => line.trim() || []);
  if (list.length > 0) filter.list = list;
  const verdict = VERDICTS.find((one) => one === filters.verdict);
  return { filter, zone, sort, ...(verdict !== undefined && { verdict }) };
}

/** The beginning of a day here, so many days on, RFC 3339. */
function midnight(day: string, later: number): string | undefined {
  const [, year, month, date] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(day) ?? [];
  if (year === undefined) return undefined;
  const at = new Date(Number(year), Number(month) - 1, Number(date) + later);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}

type TextName = Exclude<keyof Filters, "breakTheGlass" | "sameSurname" | "afterHours">;

type Props = { t: Strings; filters: Filters; setFilters: (filters: Filters) => void; zone: string };

export function FiltersForm({ t, filters, setFilters, zone }: Props) {
  const common = (name: TextName) => ({
    id: `case-${name}`,
    value: filters[name],
    // A browser keeps what stands in a field with its history, on the disk, unless it is told not to.
    autocomplete: "off" as const,
    onInput: ({ currentTarget }: { currentTarget: HTMLInputElement }) =>
      setFilters({ ...filters, [name]: currentTarget.value }),
  });
  const isWhole = (name: TextName) => TEXTS.some((each) => each === name);
  const text = (name: TextName, type: "text" | "date" | "time" = "text") => (
    <div class="case-field" key={name}>
      <label for={`case-${name}`}>{t.filters[name]}</label>
      {type === "date" ? (
        <input type="date" {...common(name)} />
      ) : type === "time" ? (
        <input type="time" {...common(name)} />
      ) : (
        <input
          type="text"
          aria-describedby={isWhole(name) ? "case-filters-whole" : undefined}
          {...common(name)}
        />
      )}
    </div>
  );
  const check = (name: "breakTheGlass" | "sameSurname" | "afterHours") => (
    <label class="case-check" key={name}>
      <input
        type="checkbox"
        checked={filters[name]}
        onChange={({ currentTarget }) => setFilters({ ...filters, [name]: currentTarget.checked })}
      />
      {t.filters[name]}
    </label>
  );
  return (
    <fieldset class="case-filters">
      <legend>{t.filters.title}</legend>
      <div class="case-fields">
        {text("from", "date")}
        {text("to", "date")}
        {TEXTS.map((name) => text(name))}
        <div class="case-field">
          <label for="case-verdict">{t.filters.verdict}</label>
          <select
            id="case-verdict"
            value={filters.verdict}
            onChange={({ currentTarget }) => setFilters({ ...filters, verdict: currentTarget.value })}
          >
            <option value="">{t.filters.any}</option>
            {VERDICTS.map((verdict) => (
              <option key={verdict} value={verdict}>
                {t.verdicts[verdict]}
              </option>
            ))}
          </select>
        </div>
      </div>
      <p class="case-help" id="case-filters-whole">
        {t.filters.whole}
      </p>
      <div class="case-checks">
        {check("breakTheGlass")}
        {check("sameSurname")}
        {check("afterHours")}
        {filters.afterHours && (
          <span class="case-hours">
            {text("hoursFrom", "time")}
            {text("hoursTo", "time")}
          </span>
        )}
      </div>
      <details>
        <summary>{t.filters.more}</summary>
        <div class="case-fields">
          <div class="case-field">
            <label for="case-list">{t.filters.list}</label>
            <textarea
              id="case-list"
              rows={3}
              autocomplete="off"
              value={filters.list}
              onInput={({ currentTarget }) => setFilters({ ...filters, list: currentTarget.value })}
            />
          </div>
          {TRACE.map((name) => text(name))}
        </div>
      </details>
      <p class="case-help">{t.filters.zone(zone)}</p>
      <button type="button" onClick={() => setFilters(NO_FILTERS)}>
        {t.filters.clear}
      </button>
    </fieldset>
  );
}
