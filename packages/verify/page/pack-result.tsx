/** What a pack is of, whether its files are as they were packed, and what the numbering shows of each source. */
import { type SourceCompleteness, stretchesOf } from "@kedge/verify/audit/completeness";
import type { JudgedPack, PackFilter } from "@kedge/verify/pack/pack";
import { Term } from "./details.tsx";
import { shownText } from "./shown.ts";
import type { Strings } from "./strings/en.ts";

/** Hours of a source that are listed; those that are complete come together. */
const MAX_PERIODS = 200;
/** Files, sources and findings that are listed, each: a pack may be made to have a hundred thousand. */
const MAX_LISTED = 200;
/** Rows that are named in a sentence. */
const MAX_NAMED = 20;

export function PackResult({ pack, strings }: { pack: JudgedPack; strings: Strings }) {
  const words = strings.pack;
  const { case: about, files, sources } = pack;
  const told: [string, string | undefined][] = [
    [words.number, about.number],
    [words.requestedBy, about.requestedBy],
    [words.reason, about.reason],
    [words.preparedBy, about.preparedBy],
    [words.lookedFor, filterText(about.filter, strings)],
    [words.asOf, strings.words.date(about.asOf)],
    [words.rows, strings.number(pack.rows.length)],
    [words.lookedThrough, strings.number(about.lookedThrough)],
    [words.software, about.software],
  ];
  return (
    <>
      <section class="pack" aria-labelledby="pack">
        <h3 id="pack">{words.title}</h3>
        <p>
          <strong>{words.kinds[about.kind]}</strong>
        </p>
        {isStampedByOwn(pack) && <p class="note">{words.ownAuthorities}</p>}
        {hasUncheckedStamps(pack) && <p class="note">{words.stampsNotChecked}</p>}
        {about.withheld !== undefined && <p class="note">{words.withheld}</p>}
        <dl>
          {told.map(
            ([name, text]) =>
              text !== undefined && (
                <Term name={name} key={name}>
                  {shownText(text)}
                </Term>
              ),
          )}
          <Term name={words.evidence}>
            <code>{pack.evidence}</code> <span class="small">{words.evidenceHint}</span>
          </Term>
        </dl>
        <p class="small">{words.makersWord}</p>
        {about.headers.length > 0 && (
          <p class="note">
            {words.columns} {strings.words.columnsNotShown}
          </p>
        )}
      </section>
      <section aria-labelledby="packfiles">
        <h3 id="packfiles">{words.filesTitle}</h3>
        {files.length === 0 ? (
          <p>{words.filesGood}</p>
        ) : (
          <ul>
            {files.slice(0, MAX_LISTED).map(({ file, is }) => (
              <li key={file}>
                <code>{file}</code> {words.findings[is]}
              </li>
            ))}
            <Others of={files} strings={strings} />
          </ul>
        )}
        {pack.outsideFilter.length > 0 && (
          <p class="note">{words.outsideFilter(pack.outsideFilter.length, someOf(pack.outsideFilter))}</p>
        )}
        {pack.otherLocalTimes !== 0 && (
          <p class="small">
            {pack.otherLocalTimes === "zone not known"
              ? words.zoneNotKnown(about.zone)
              : words.otherTimes(pack.otherLocalTimes, about.zone)}
          </p>
        )}
        <Named files={pack.byOwnKeys} words={words.byOwnKeys} of="note" />
        <Named files={pack.notMadeAnew} words={words.notMadeAnew} of="small" />
      </section>
      <section aria-labelledby="sources">
        <h3 id="sources">{words.sourcesTitle}</h3>
        <p>{sources.length === 0 ? words.sourcesNone : words.sourcesHint}</p>
        <Sources sources={sources} strings={strings} />
        {pack.maker !== undefined && <h4>{words.maker}</h4>}
        {pack.maker !== undefined && <Sources sources={pack.maker.sources} strings={strings} />}
      </section>
    </>
  );
}

function filterText(filter: PackFilter, { pack: words, words: { date } }: Strings): string {
  const { from, to, user, patient, action, recordType, afterHours, list, gtin, lot, serial } = filter;
  const said: [string, string | true | undefined][] = [
    [words.filter.from, from && date(from)],
    [words.filter.to, to && date(to)],
    [words.filter.user, user],
    [words.filter.patient, patient],
    [words.filter.action, action],
    [words.filter.recordType, recordType],
    [words.filter.breakTheGlass, filter.breakTheGlass],
    [words.filter.sameSurname, filter.sameSurname],
    [words.filter.afterHours, afterHours && `${afterHours.from}–${afterHours.to}`],
    [words.filter.list, list?.join(", ")],
    ["GTIN", gtin],
    [words.filter.lot, lot],
    [words.filter.serial, serial],
  ];
  const texts = said.flatMap(([word, text]) =>
    text === undefined ? [] : text === true ? word : `${word} ${text}`,
  );
  return texts.length === 0 ? words.everything : texts.join("; ");
}

function Named({ files, words, of }: { files: readonly string[]; words: string; of: "note" | "small" }) {
  if (files.length === 0) return null;
  return (
    <p class={of}>
      {files.map((file) => (
        <>
          <code>{file}</code>{" "}
        </>
      ))}
      {words}
    </p>
  );
}

const someOf = (rows: readonly number[]): string =>
  `${rows.slice(0, MAX_NAMED).join(", ")}${rows.length > MAX_NAMED ? ", …" : ""}`;

/** Times in it count by certificates that its maker chose. */
const isStampedByOwn = ({ authorities, rows }: JudgedPack): boolean =>
  authorities === "pack" && rows.some(({ report }) => (report?.timestamps?.length ?? 0) > 0);

const hasUncheckedStamps = ({ rows }: JudgedPack): boolean =>
  rows.some(({ report }) => report?.caveats.some(({ code }) => code === "timestamps_not_checked"));

/** How many are not listed. */
function Others({ of, strings }: { of: readonly unknown[]; strings: Strings }) {
  const left = of.length - MAX_LISTED;
  return left > 0 ? <li>{strings.pack.others(left)}</li> : null;
}

function Sources({ sources, strings }: { sources: readonly SourceCompleteness[]; strings: Strings }) {
  return (
    <>
      {sources.slice(0, MAX_LISTED).map((source) => (
        <Source source={source} strings={strings} key={source.source} />
      ))}
      {sources.length > MAX_LISTED && <p>{strings.pack.others(sources.length - MAX_LISTED)}</p>}
    </>
  );
}

function Source({ source, strings }: { source: SourceCompleteness; strings: Strings }) {
  const words = strings.pack;
  const periods = stretchesOf(source.periods);
  // The maker's statement has no line for it.
  const findings: SourceCompleteness["findings"] =
    periods.length === 0 && source.findings.length === 0
      ? [{ finding: "no_manifest", source: source.source }]
      : source.findings;
  return (
    <div class="source">
      <h4>{words.source(shownText(source.source))}</h4>
      <ul>
        {findings.slice(0, MAX_LISTED).map((finding) => {
          const text = strings.finding(finding);
          return <li key={text}>{text}</li>;
        })}
        <Others of={findings} strings={strings} />
      </ul>
      {periods.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by keyboard (WCAG 2.1.1)
        <section class="scroll rows" tabIndex={0} aria-label={words.source(shownText(source.source))}>
          <table>
            <thead>
              <tr>
                <th scope="col">{words.period}</th>
                <th scope="col">{words.events}</th>
                <th scope="col">{words.numbers}</th>
                <th scope="col">{words.result}</th>
              </tr>
            </thead>
            <tbody>
              {periods.slice(0, MAX_PERIODS).map(({ from, to, count, numbers, verdict }) => (
                <tr key={from}>
                  <th scope="row">
                    {strings.words.date(new Date(from).toISOString())} –{" "}
                    {strings.words.date(new Date(to).toISOString())}
                  </th>
                  <td data-label={words.events}>{`${count}`}</td>
                  <td data-label={words.numbers}>
                    {numbers === undefined ? "–" : `${numbers.first}–${numbers.last}`}
                  </td>
                  <td data-label={words.result}>{words.periods[verdict]}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
      {periods.length > MAX_PERIODS && <p>{words.more(periods.length - MAX_PERIODS)}</p>}
    </div>
  );
}
