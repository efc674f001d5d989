/** What the numbering shows, per source. */
import { useEffect, useState } from "preact/hooks";
import { utc } from "./dates.ts";
import type { Desk } from "./desk.ts";
import type { Proven, SourceGaps } from "./messages.ts";
import type { Strings } from "./strings.ts";

type Props = { t: Strings; desk: Desk; proven: Proven | undefined };

export function Gaps({ t, desk, proven }: Props) {
  const [sources, setSources] = useState<readonly SourceGaps[]>();
  useEffect(() => {
    void (async () => {
      if (proven !== undefined) setSources(await desk.ask("gaps", undefined));
    })();
  }, [desk, proven]);
  if (sources === undefined) return null;
  return (
    <section aria-labelledby="case-gaps">
      <h2 id="case-gaps">{t.gaps.title}</h2>
      <p>{t.gaps.lead}</p>
      {sources.length === 0 && <p>{t.gaps.none}</p>}
      {sources.map(({ source, verdict, periods, findings }) => (
        <details key={source} open={verdict === "incomplete"}>
          <summary>{t.gaps[verdict](source)}</summary>
          {periods.length === 0 && findings.length === 0 && <p>{t.gaps.noManifest}</p>}
          {findings.length > 0 && (
            <ul>
              {findings.map(t.gaps.finding).map((text) => (
                <li key={text}>{text}</li>
              ))}
            </ul>
          )}
          {periods.length > 0 && (
            // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard
            <div class="case-scroll" tabIndex={0}>
              <table>
                <thead>
                  <tr>
                    <th scope="col">{t.gaps.period}</th>
                    <th scope="col">{t.gaps.count}</th>
                    <th scope="col">{t.gaps.verdict}</th>
                  </tr>
                </thead>
                <tbody>
                  {periods.map((period) => (
                    <tr key={period.from}>
                      <td>
                        {utc(period.from)} – {utc(period.to)}
                      </td>
                      <td>{t.number(period.count)}</td>
                      <td>{t.gaps.verdicts[period.verdict]}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </details>
      ))}
    </section>
  );
}
