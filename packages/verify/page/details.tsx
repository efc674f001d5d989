/** What there is to know of one record, on demand: what it says, how far it is proven, and where it stands. */
import type { Columns } from "@kedge/verify/events/formats/columns";
import type { SignedTime, VerifyReport } from "@kedge/verify/proof/verify";
import { keyLabel, visible } from "@kedge/verify/text";
import { leafHash } from "@kedge/verify/tlog/merkle";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { CheckedRow } from "./check.ts";
import { shownName, shownText } from "./shown.ts";
import type { Step, Strings } from "./strings/en.ts";

/** Bytes of an event that are shown. */
const MAX_SHOWN = 64 << 10;

type Props = { row: CheckedRow; strings: Strings };

export function RecordDetails({ row, strings }: Props) {
  const { report } = row;
  return (
    <div class="details">
      <Says row={row} strings={strings} />
      {report?.proven && <Steps report={report} strings={strings} />}
      {report !== undefined && <Found report={report} strings={strings} />}
      {report !== undefined && <Technical row={row} report={report} strings={strings} />}
      <Content row={row} strings={strings} />
    </div>
  );
}

/** How a reader finds it: the number in its pack, or its file and line. */
export function labelOf({ name, line, packed }: CheckedRow, strings: Strings): string {
  if (packed !== undefined) return `${strings.table.row} ${strings.number(packed.number)}`;
  return line === undefined ? shownName(name) : strings.table.line(shownName(name), line);
}

function Says({ row, strings }: Props) {
  const { columns, packed, facts } = row;
  const words = strings.details;
  const told = columns === undefined ? [] : entriesOf(columns);
  const { recipient, address, description, purpose } = packed?.disclosure ?? {};
  const about = [recipient, address, description, purpose].filter((text) => text !== undefined);
  return (
    <details open>
      <summary>{words.record}</summary>
      {facts.record !== undefined && <p>{words.withheld}</p>}
      {facts.record === undefined && told.length === 0 && <p>{words.unreadable}</p>}
      <dl>
        {told.map(([column, text]) => (
          <Term name={words.columns[column]} key={column}>
            {text}
          </Term>
        ))}
        {about.length > 0 && <Term name={words.columns.disclosure}>{about.map(shownText).join(" · ")}</Term>}
      </dl>
    </details>
  );
}

type Column = keyof Columns;
const COLUMNS: readonly Column[] = [
  ...(["when", "user", "patient", "action", "recordType", "workstation"] as const),
  ...(["reason", "outcome", "source", "subjects"] as const),
];

/** What stands in a cell; undefined where the event does not say. */
export function cellOf(columns: Columns, column: Column): string | undefined {
  const value = columns[column];
  if (value === undefined || typeof value === "string") return value;
  const texts: (string | undefined)[] = Array.isArray(value) ? value : Object.values(value);
  return texts.filter((text) => text !== undefined).join(" · ");
}

function entriesOf(columns: Columns): [Column, string][] {
  return COLUMNS.flatMap((column): [Column, string][] => {
    const text = cellOf(columns, column);
    return text === undefined || text === "" ? [] : [[column, text]];
  });
}

/** The four steps of assurance, each with whether it is shown: said in words, not by a colour. */
function Steps({ report, strings }: { report: VerifyReport; strings: Strings }) {
  const words = strings.details;
  const steps: [Step, boolean][] = [
    ["log", true],
    ["anchor", report.anchor !== undefined],
    ["witnesses", report.witnesses !== undefined],
    ["timestamp", (report.timestamps ?? []).length > 0],
  ];
  return (
    <details open>
      <summary>{words.how}</summary>
      <ol class="steps">
        {steps.map(([step, isShown]) => (
          <li class={isShown ? "yes" : "no"} key={step}>
            <span class="mark" aria-hidden="true">
              {isShown ? "✓" : "–"}
            </span>{" "}
            {words.steps[step]}: <strong>{isShown ? words.shown : words.notShown}</strong>
          </li>
        ))}
      </ol>
    </details>
  );
}

function Found({ report, strings }: { report: VerifyReport; strings: Strings }) {
  const words = strings.details;
  const { statements, caveats, failure } = strings.tell(report);
  return (
    <details>
      <summary>{words.found}</summary>
      {failure !== undefined && <p>{failure}</p>}
      {statements.length > 0 && <h4>{words.proven}</h4>}
      <ul>
        {statements.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
      {caveats.length > 0 && <h4>{words.notProven}</h4>}
      <ul>
        {caveats.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    </details>
  );
}

function Technical({ row, report, strings }: { row: CheckedRow; report: VerifyReport; strings: Strings }) {
  const { technical, technicalHint, term } = strings.details;
  const { log, anchor, opening, signers, witnesses, timestamps, failure } = report;
  const commitment = report.commitment ?? row.packed?.commitment;
  const code = (text: string | undefined) => text && <code>{text}</code>;
  const times = report.times.map(({ at, by, kind }: SignedTime) => `${at} ${kind} ${by}`);
  const stamps = (timestamps ?? []).map((one) =>
    one.type === "ots" ? `Bitcoin ${one.height}` : `${one.at} ${one.by} (${one.serial})`,
  );
  const keys = [...(signers?.log ?? []), ...(signers?.anchor ?? [])].map(keyLabel);
  const values: [string, string | undefined | readonly string[]][] = [
    [term.commitment, commitment],
    [term.leaf, commitment && bytesToHex(leafHash(hexToBytes(commitment)))],
    [term.log, log?.origin],
    [term.index, log?.index],
    [term.size, log?.treeSize],
    [term.root, log?.root],
    [term.mediaType, opening?.mediaType],
    [term.canonicalisation, opening?.canonicalisation],
    [term.source, opening?.source],
    [term.sequence, opening?.sequence],
    [term.anchor, anchor?.origin],
    [term.anchorIndex, anchor?.index],
    [term.anchorSize, anchor?.treeSize],
    [term.anchorRoot, anchor?.root],
    [term.signers, keys],
    [term.witnesses, witnesses?.cosigned],
    [term.times, times],
    [term.timestamps, stamps],
    [term.code, failure && `${failure.step} ${failure.code}`],
  ];
  return (
    <details>
      <summary>{technical}</summary>
      <dl class="wide">
        {values.map(([name, value]) => {
          const texts = (typeof value === "string" ? [value] : (value ?? [])).filter((text) => text !== "");
          return (
            texts.length > 0 && (
              <Term name={name} key={name}>
                {texts.map((text) => (
                  <p key={text}>{code(shownText(text))}</p>
                ))}
              </Term>
            )
          );
        })}
      </dl>
      <p class="small">{technicalHint}</p>
    </details>
  );
}

/** Of a pack, it is read once its row is opened: on paper nobody unfolds it. */
function Content({ row, strings }: Props) {
  const words = strings.details;
  const [event, setEvent] = useState(row.event);
  const readEvent = row.packed?.readEvent;
  useEffect(() => {
    const controller = new AbortController();
    readEvent?.(controller.signal).then(setEvent, (error: unknown) => {
      if (!controller.signal.aborted) throw error;
    });
    return () => controller.abort();
  }, [readEvent]);
  if (row.event === undefined && readEvent === undefined) return null;
  return (
    <details>
      <summary>{words.content}</summary>
      {event !== undefined && event.length > MAX_SHOWN && <p>{words.cut(MAX_SHOWN, event.length)}</p>}
      {event !== undefined && <pre>{textOf(event)}</pre>}
    </details>
  );
}

function textOf(event: Uint8Array): string {
  const lines = new TextDecoder().decode(event.subarray(0, MAX_SHOWN)).split("\n");
  return lines.map((line) => visible(plain(line), MAX_SHOWN)).join("\n");
}

/** A tab is seen, and a carriage return that ends a line is part of its end. */
const plain = (line: string): string => line.replace(/\r$/, "").replaceAll("\t", "    ");

export const Term = ({ name, children }: { name: string; children: ComponentChildren }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
);
