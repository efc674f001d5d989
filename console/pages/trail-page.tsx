/** Kedge's own trail: read as an officer reads any trail, and checked by its proofs, in this browser. */
import { type Opening, parseOpening } from "@kedge/verify/events/commitment";
import { EventError } from "@kedge/verify/events/error";
import { type RecordVerdict, verdictOf } from "@kedge/verify/proof/verdict";
import { type RecordFacts, tellVerdict, VERDICT_WORDS } from "@kedge/verify/proof/verdict-words";
import { verifyEvent } from "@kedge/verify/proof/verify";
import { hexToBytes } from "@noble/hashes/utils.js";
import { useState } from "preact/hooks";
import { serviceTrust } from "../case/trust.ts";
import { Loading, OlderButton, Problem, type ShellProps, Table, Time, useDeed, usePages } from "../ui.tsx";
import {
  type Act,
  actOf,
  newestOf,
  type TrailPage as Page,
  sayDetail,
  TRAIL_PAGE,
  type TrailRow,
} from "./acts.ts";

/** Rows between which the page may breathe: a check takes some milliseconds. */
const AT_A_TIME = 10;
/** Events of a download: what the page holds in memory. */
const MOST = 200_000;

export function TrailPage(props: ShellProps) {
  const { t, language, client, asking, announce } = props;
  const [facts, setFacts] = useState<ReadonlyMap<string, RecordFacts>>(new Map());
  const { first, pages, older } = usePages((from) => asking(() => pageOf(client, from)));
  const check = useDeed();
  const [checked, setChecked] = useState<Counts>();

  const rows = pages.flatMap((page) => page.rows);
  const { log } = first.value ?? {};
  const checkAll = async () => {
    if (log === undefined) return;
    setChecked(undefined);
    const found = new Map(facts);
    const trust = await asking(() => {
      const { url, apiKey = "" } = props.connection();
      return serviceTrust({ url, apiKey }, log, new AbortController().signal);
    });
    for (let from = 0; from < rows.length; from += AT_A_TIME) {
      const some = rows.slice(from, from + AT_A_TIME);
      for (const [commitment, fact] of await checkSome(props, { log, trust }, some))
        found.set(commitment, fact);
      setFacts(new Map(found));
    }
    const counts: Counts = { unchanged: 0, changed: 0, untold: 0 };
    for (const { commitment } of rows) counts[found.get(commitment)?.verdict ?? "untold"] += 1;
    setChecked(counts);
    announce(sayCounts(t, counts));
  };
  return (
    <>
      <h1 tabIndex={-1}>{t.trail.title}</h1>
      <p class="lead">{t.trail.lead}</p>
      {first.error !== undefined && <Problem t={t} error={first.error} again={first.again} />}
      {first.value === undefined && first.isBusy && <Loading t={t} />}
      {first.value !== undefined && rows.length === 0 && <p>{t.trail.none}</p>}
      {rows.length > 0 && (
        <>
          <div class="beside">
            <button
              type="button"
              class="main"
              aria-disabled={check.isBusy}
              onClick={() => check.run(checkAll)}
            >
              {t.trail.check}
            </button>
            <p class="hint">{check.isBusy ? t.trail.checking : checked && sayCounts(t, checked)}</p>
          </div>
          <p class="hint">
            {VERDICT_WORDS[language].notShown} {t.trail.keysHint}
          </p>
          {check.error !== undefined && <Problem t={t} error={check.error} />}
          <Table caption={t.trail.caption}>
            <thead>
              <tr>
                <th scope="col">{t.trail.columns.when}</th>
                <th scope="col">{t.trail.columns.who}</th>
                <th scope="col">{t.trail.columns.action}</th>
                <th scope="col">{t.trail.columns.subject}</th>
                <th scope="col">{t.trail.columns.evidence}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <Row key={row.commitment} {...props} row={row} facts={facts.get(row.commitment)} />
              ))}
            </tbody>
          </Table>
          <OlderButton t={t} older={older} words={t.trail.older} />
          <Downloads {...props} />
        </>
      )}
    </>
  );
}

type Counts = Record<RecordVerdict, number>;

const sayCounts = ({ trail }: ShellProps["t"], { unchanged, changed, untold }: Counts): string =>
  trail.checked(unchanged, changed, untold);

async function pageOf(client: ShellProps["client"], before?: string): Promise<Page> {
  const { log, events, next } = await client.trail({ before, limit: TRAIL_PAGE });
  return { log, rows: events, next };
}

function Row({ t, f, language, row, facts }: ShellProps & { row: TrailRow; facts: RecordFacts | undefined }) {
  const [isOpen, setOpen] = useState(false);
  const act = actOf(row);
  const { columns } = act;
  const { columns: titles } = t.trail;
  const told = facts && tellVerdict(facts, VERDICT_WORDS[language]);
  const opened = `opened-${row.commitment}`;
  const evidence = (
    <td data-label={titles.evidence}>
      <button
        type="button"
        class={`verdict ${facts?.verdict ?? "untold"}`}
        aria-expanded={isOpen}
        aria-controls={opened}
        onClick={() => setOpen(!isOpen)}
      >
        {told?.headline ?? t.trail.notChecked}
      </button>
    </td>
  );
  const below = (
    <tr id={opened} class="opened" hidden={!isOpen}>
      <td colSpan={5}>
        {told !== undefined && <p>{told.sentence}</p>}
        {told?.advice !== undefined && <p>{told.advice}</p>}
        <pre class="code">{laidOut(row.event)}</pre>
      </td>
    </tr>
  );
  if (columns === undefined) {
    return (
      <>
        <tr>
          <th scope="row">
            <Time f={f} at={row.at} />
          </th>
          <td colSpan={3}>{t.trail.unread}</td>
          {evidence}
        </tr>
        {below}
      </>
    );
  }
  const acts: Readonly<Record<string, string>> = t.trail.acts;
  const things: Readonly<Record<string, string>> = t.trail.things;
  const outcomes: Readonly<Record<string, string>> = t.trail.outcomes;
  const roles: Readonly<Record<string, string>> = t.session.role;
  return (
    <>
      <tr>
        <th scope="row">
          <Time f={f} at={columns.when ?? row.at} />
        </th>
        <td data-label={titles.who}>
          {columns.user?.name ?? <span class="code">{columns.user?.login ?? "–"}</span>}
          {columns.user?.role !== undefined && (
            <span class="role">{roles[columns.user.role] ?? columns.user.role}</span>
          )}
        </td>
        <td data-label={titles.action}>
          {(act.code === undefined ? undefined : acts[act.code]) ?? columns.action}
          {columns.outcome !== undefined && columns.outcome !== "success" && (
            <span class="small block">{outcomes[columns.outcome] ?? columns.outcome}</span>
          )}
        </td>
        <td data-label={titles.subject}>
          {shownThings(act).map(({ kind, id }) => (
            <span key={`${kind} ${id}`} class="small block">
              {things[kind] ?? kind} <span class="code">{id}</span>
            </span>
          ))}
          {act.details.length > 0 && (
            <span class="small block">{act.details.map((detail) => sayDetail(detail, t)).join(", ")}</span>
          )}
        </td>
        {evidence}
      </tr>
      {below}
    </>
  );
}

/** JSON over lines, as people read it; what is none stays as it is. */
function laidOut(event: string): string {
  try {
    return JSON.stringify(JSON.parse(event), null, 2);
  } catch {
    return event;
  }
}

/** In which session it was done stands in the event. */
const shownThings = ({ things }: Act) => things.filter(({ kind }) => kind !== "session");

type Trust = Awaited<ReturnType<typeof serviceTrust>>;

/** Each row by its proof, held against the keys that the service hands out. */
async function checkSome(
  { client, asking }: ShellProps,
  { log, trust }: { log: string; trust: Trust },
  rows: readonly TrailRow[],
): Promise<Map<string, RecordFacts>> {
  const facts = new Map<string, RecordFacts>();
  const answers = await asking(() =>
    all(
      client.proofs(
        log,
        rows.map(({ commitment }) => hexToBytes(commitment)),
      ),
    ),
  );
  for (const answer of answers) {
    const row = rows.find(({ commitment }) => commitment === answer.hash);
    if (row === undefined) continue;
    if (answer.state !== "proof") {
      facts.set(answer.hash, { verdict: verdictOf(undefined), noProof: answer.state });
      continue;
    }
    facts.set(answer.hash, checkRow(row, answer.proof, trust));
  }
  return facts;
}

function checkRow(row: TrailRow, proof: string, trust: Trust): RecordFacts {
  const { logVkeys, anchorVkeys, policy } = trust;
  const opening = openingOf(row);
  const report = verifyEvent({
    ...{ event: new TextEncoder().encode(row.event), proof, logVkeys, anchorVkeys },
    ...(opening && { opening }),
    ...(policy !== undefined && { policy }),
  });
  return { verdict: verdictOf(report, row.commitment), report };
}

function openingOf({ opening }: TrailRow): Opening | undefined {
  try {
    return parseOpening(opening);
  } catch (error) {
    if (error instanceof EventError) return undefined; // it is none, and then it is told to be missing
    throw error;
  }
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const EVENTS = "kedge-trail.ndjson";

/** As `kedge proof --records` takes them: the events, a line each, and in another file what opens them. */
function Downloads({ t, client, asking, save, announce }: ShellProps) {
  const deed = useDeed();
  const [cut, setCut] = useState<number>();
  const download = (which: "events" | "openings") =>
    deed.run(async () => {
      setCut(undefined);
      const { rows, isCut } = await newestOf((before) => asking(() => pageOf(client, before)), MOST);
      // Oldest first, as files grow.
      rows.reverse();
      const lines = rows.map(({ event, commitment, opening }, i) =>
        which === "events" ? event : JSON.stringify({ event: EVENTS, line: i + 1, commitment, opening }),
      );
      const name = which === "events" ? EVENTS : EVENTS.replace(".ndjson", "-openings.ndjson");
      save(name, lines.map((line) => `${line}\n`).join(""), "application/x-ndjson");
      if (isCut) setCut(rows.length);
      announce(isCut ? t.trail.downloadCut(rows.length) : t.trail.downloaded(rows.length));
    });
  return (
    <>
      <div class="beside">
        <button type="button" aria-disabled={deed.isBusy} onClick={() => download("events")}>
          {t.trail.download}
        </button>
        <button type="button" aria-disabled={deed.isBusy} onClick={() => download("openings")}>
          {t.trail.downloadOpenings}
        </button>
      </div>
      <p class="hint">{t.trail.downloadHint}</p>
      {cut !== undefined && <p>{t.trail.downloadCut(cut)}</p>}
      {deed.error !== undefined && <Problem t={t} error={deed.error} />}
    </>
  );
}
