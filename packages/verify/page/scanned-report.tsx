/** What a scanned report speaks of, and whether it is among what was given. */
import { useMemo } from "preact/hooks";
import { Term } from "./details.tsx";
import { isScanned, MEMBERS, type Scanned, type Shown } from "./scanned.ts";
import type { Strings } from "./strings/en.ts";

type Props = {
  scanned: Scanned;
  /** Of a record that was checked; undefined while nothing was. */
  rows: readonly { label: string; shown: Shown }[] | undefined;
  /** Of a pack. */
  evidence: string | undefined;
  strings: Strings;
};

export function ScannedReport({ scanned, rows, evidence, strings }: Props) {
  const words = strings.scanned;
  const isOfOne = scanned.leaf !== undefined;
  const found = useMemo(
    () => rows?.find(({ shown }) => isScanned(scanned, shown, evidence)),
    [scanned, rows, evidence],
  );
  const isNothing = rows === undefined || rows.length === 0;
  return (
    <section class="card scanned" aria-labelledby="scanned">
      <h2 id="scanned">{words.title}</h2>
      <p class={!isNothing && found === undefined ? "problem" : ""}>
        {isNothing
          ? `${isOfOne ? words.ofOne : words.ofMany} ${words.nothing}`
          : found === undefined
            ? words.other
            : isOfOne
              ? words.same(rows.length === 1 ? undefined : found.label)
              : words.sameTree}
      </p>
      <dl>
        {MEMBERS.map(
          (member) =>
            scanned[member] !== undefined && (
              <Term name={words[member]} key={member}>
                <code>{scanned[member]}</code>
              </Term>
            ),
        )}
      </dl>
    </section>
  );
}
