/** The result: the verdict before anything else, then what it does not show, then the rest on demand. */
import type { Checked, CheckedRow } from "./check.ts";
import { RecordDetails } from "./details.tsx";
import { MAX_LINES } from "./given.ts";
import { VerdictIcon } from "./icons.tsx";
import { PackResult } from "./pack-result.tsx";
import { sayRow } from "./say.ts";
import type { Strings } from "./strings/en.ts";
import { countRows, RowTable } from "./table.tsx";

type Props = { checked: Checked; hasKeys: boolean; strings: Strings };

export function Result({ checked, hasKeys, strings }: Props) {
  const { rows, pack, verdict, left } = checked;
  const [only] = rows;
  const isOne = pack === undefined && rows.length === 1 && only !== undefined;
  const words = strings.verdict;
  return (
    <section class="result" aria-labelledby="verdict">
      <div class={`verdict ${verdict}`}>
        <VerdictIcon verdict={verdict} />
        <div>
          <h2 id="verdict">
            {isOne ? sayRow(only, hasKeys, strings).headline : strings.words.headlines[verdict]}
          </h2>
          {checked.unreadKeys !== undefined ? (
            <p>{strings.keys.malformed(checked.unreadKeys.replace(/\.$/, ""))}</p>
          ) : checked.isTooMany ? (
            <p>{words.tooMany(MAX_LINES)}</p>
          ) : checked.failed !== undefined ? (
            <p>{words.failed(checked.failed)}</p>
          ) : checked.broken !== undefined ? (
            <p>{strings.pack.broken(checked.broken)}</p>
          ) : isOne ? (
            <OneVerdict row={only} hasKeys={hasKeys} strings={strings} />
          ) : (
            <ManyVerdicts checked={checked} hasKeys={hasKeys} strings={strings} />
          )}
          {pack !== undefined && (
            <p class={pack.keys === "pack" ? "note" : "small"}>
              {strings.words.keys[pack.keys]} {pack.keys === "pack" && strings.keys.fromPackMeans}
            </p>
          )}
        </div>
      </div>
      <div class="limits">
        <h3>{words.limitsTitle}</h3>
        <p>{strings.words.notShown}</p>
        <p>{words.limits}</p>
      </div>
      {left > 0 && <p class="note">{words.left(left)}</p>}
      <p class="noprint">
        <button type="button" class="plain" onClick={() => print()}>
          {strings.print}
        </button>
      </p>
      {pack !== undefined && <PackResult pack={pack} strings={strings} />}
      {isOne ? (
        <RecordDetails row={only} strings={strings} />
      ) : (
        rows.length > 0 && <RowTable rows={rows} strings={strings} isPack={pack !== undefined} />
      )}
    </section>
  );
}

function OneVerdict({ row, hasKeys, strings }: { row: CheckedRow; hasKeys: boolean; strings: Strings }) {
  const { sentence, advice } = sayRow(row, hasKeys, strings);
  return (
    <>
      <p>{sentence}</p>
      {advice !== undefined && <p>{advice}</p>}
    </>
  );
}

/** How many have which verdict: the worst first, for that is what a reader has to know. */
function ManyVerdicts({ checked, hasKeys, strings }: Props) {
  const words = strings.verdict;
  const { rows, pack } = checked;
  const { changed, untold, unchanged, withheld } = pack?.counts ?? countRows(rows);
  const files = pack?.files.length ?? 0;
  return (
    <>
      {changed > 0 && <p>{words.many.changed(changed, rows.length)}</p>}
      {files > 0 && <p>{words.many.files(files)}</p>}
      {untold > 0 && <p>{words.many.untold(untold, rows.length)}</p>}
      {unchanged > 0 && <p>{words.many.unchanged(unchanged)}</p>}
      {withheld > 0 && <p>{words.many.withheld(withheld)}</p>}
      {!hasKeys && pack === undefined && <p>{words.noKeys}</p>}
    </>
  );
}
