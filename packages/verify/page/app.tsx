/** The page as a whole: what was given, and what holds of it. */
import { bytesToHex } from "@noble/hashes/utils.js";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Checked, type CheckedRow, checkFiles, checkPack } from "./check.ts";
import { labelOf } from "./details.tsx";
import { FilesGiven } from "./files.tsx";
import { countLines, type FileKind, type GivenFile, isTooLarge, kindOfFile, MAX_LINES } from "./given.ts";
import { type GivenTrust, readTrust } from "./given-trust.ts";
import { Result } from "./result.tsx";
import { parseScanned } from "./scanned.ts";
import { ScannedReport } from "./scanned-report.tsx";
import type { Strings } from "./strings/en.ts";
import { type Language, languageOf, STRINGS } from "./strings/strings.ts";
import { KeysGiven } from "./trust.tsx";

type Progress = { done: number; of: number };
const STARTED: Progress = { done: 0, of: 0 };
/** What there is a verdict on. */
const JUDGED: readonly FileKind[] = ["event", "events", "proof", "proofs", "pack"];

export function App({
  languages,
  version,
  licences,
}: {
  languages: readonly string[];
  version: string;
  licences: string;
}) {
  const [language, setLanguage] = useState<Language>(() => languageOf(languages));
  const strings = STRINGS[language];
  const [files, setFiles] = useState<readonly GivenFile[]>([]);
  const [unread, setUnread] = useState<readonly string[]>([]);
  /** Files may be dropped while others are read. */
  const [reading, setReading] = useState(0);
  const [pasted, setPasted] = useState("");
  const [scanned] = useState(() => parseScanned(location.hash));
  const nextId = useRef(0);

  useEffect(() => {
    document.documentElement.lang = language;
    document.title = strings.title;
  }, [language]);

  const usable = useMemo(() => files.filter((file) => !isTooLarge(file)), [files]);
  const trust = useMemo(() => readTrust(usable, pasted), [usable, pasted]);
  const { checked, working } = useChecked(usable, trust);

  const add = async (given: readonly File[]): Promise<void> => {
    setReading((count) => count + 1);
    setUnread([]);
    const read: GivenFile[] = [];
    const failed: string[] = [];
    for (const file of given) {
      const one = await readFile(file, nextId.current++).catch(() => undefined);
      if (one === undefined) failed.push(file.name);
      else read.push(one);
    }
    setFiles((before) => [...before, ...read]);
    setUnread((before) => [...before, ...failed]);
    setReading((count) => count - 1);
  };
  const setKind = (id: number, kind: FileKind): void =>
    setFiles((before) => before.map((file) => (file.id === id ? { ...file, kind } : file)));
  const remove = (id: number | undefined): void =>
    setFiles((before) => (id === undefined ? [] : before.filter((file) => file.id !== id)));

  const scannable = useMemo(
    () => scanned && checked?.rows.map(scannableIn(strings)),
    [scanned, checked, strings],
  );
  return (
    <>
      <header class="top">
        <p class="brand">Kedge</p>
        <fieldset class="languages">
          <legend class="unseen">{strings.language}</legend>
          {(["en", "de"] as const).map((one) => (
            <button
              type="button"
              lang={one}
              aria-pressed={one === language}
              onClick={() => setLanguage(one)}
              key={one}
            >
              {STRINGS[one].name}
            </button>
          ))}
        </fieldset>
      </header>
      <main aria-busy={reading > 0 || working !== undefined}>
        <h1>{strings.title}</h1>
        <p class="lead">{strings.lead}</p>
        {scanned && (
          <ScannedReport {...{ scanned, strings }} rows={scannable} evidence={checked?.pack?.evidence} />
        )}
        <p role="status" class="status">
          {reading > 0 ? strings.reading : working ? strings.working(working.done, working.of) : ""}
        </p>
        {checked !== undefined && <Result checked={checked} hasKeys={trust.isGiven} strings={strings} />}
        <div class="inputs">
          <FilesGiven
            {...{ files, unread, strings }}
            onAdd={(given) => void add(given)}
            onKind={setKind}
            onRemove={remove}
          />
          <KeysGiven
            trust={trust}
            text={pasted}
            onText={setPasted}
            strings={strings}
            fromPack={checked?.packKeys}
          />
        </div>
      </main>
      <footer>
        <p>
          {strings.footer.version(version)} {strings.footer.same}
        </p>
        <details class="licences noprint">
          <summary>{strings.footer.licences}</summary>
          <pre>{licences}</pre>
        </details>
      </footer>
    </>
  );
}

async function readFile(file: File, id: number): Promise<GivenFile> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const sha256 = bytesToHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
  return { id, name: file.name, bytes, sha256, kind: kindOfFile(file.name, bytes) };
}

/** What holds of these files under these keys, and how far the check has come: never what held of others before. */
function useChecked(
  files: readonly GivenFile[],
  trust: GivenTrust,
): { checked?: Checked; working?: Progress } {
  const [result, setResult] = useState<{ files: unknown; trust: unknown; checked: Checked }>();
  const [working, setWorking] = useState<Progress>(STARTED);
  const isAnything = files.some(({ kind }) => JUDGED.includes(kind));
  useEffect(() => {
    const controller = new AbortController();
    if (!isAnything) return;
    setWorking(STARTED);
    const check = async () => {
      const checked = await checkAll(files, trust, controller.signal, setWorking);
      // A short check may end before it pauses: then it has not heard that another is asked for.
      if (!controller.signal.aborted) setResult({ files, trust, checked });
    };
    check().catch((error: unknown) => {
      if (controller.signal.aborted) return;
      const failed = error instanceof Error ? error.message : "";
      setResult({ files, trust, checked: { verdict: "untold", rows: [], left: 0, failed } });
    });
    return () => controller.abort();
  }, [files, trust, isAnything]);
  if (!isAnything) return {};
  return result?.files === files && result.trust === trust ? { checked: result.checked } : { working };
}

async function checkAll(
  files: readonly GivenFile[],
  trust: GivenTrust,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<Checked> {
  // Somebody meant to give keys: those of the pack are no answer in their place.
  if (trust.malformed !== undefined) {
    return { verdict: "untold", rows: [], left: 0, unreadKeys: trust.malformed };
  }
  let shown = performance.now();
  const tell = (progress: Progress): void => {
    if (performance.now() - shown < 200) return;
    shown = performance.now();
    onProgress(progress);
  };
  const pack = files.find(({ kind }) => kind === "pack");
  if (pack === undefined) {
    for (const kind of ["events", "proofs", "records"] as const) {
      if (countOf(files, kind) > MAX_LINES) return { verdict: "untold", rows: [], left: 0, isTooMany: true };
    }
    const of = countOf(files, "events") + files.filter(({ kind }) => kind === "event").length;
    return await checkFiles(files, trust, signal, (done) => tell({ done, of }));
  }
  return await checkPack(pack.bytes, trust, signal, (share) =>
    tell({ done: Math.round(100 * share), of: 100 }),
  );
}

const countOf = (files: readonly GivenFile[], is: FileKind): number =>
  files.reduce((sum, { kind, bytes }) => (kind === is ? sum + countLines(bytes) : sum), 0);

const scannableIn = (strings: Strings) => (row: CheckedRow) => {
  const { report, packed } = row;
  const entry = report?.commitment ?? packed?.commitment;
  return {
    label: labelOf(row, strings),
    shown: { ...(entry && { commitment: entry }), ...(report?.log && { log: report.log }) },
  };
};
