/** What Kedge shows and what it does not, and where the service's other parts are. */
import type { ShellProps } from "../ui.tsx";

export function AboutPage({ t }: ShellProps) {
  const parts = [
    ["/verify.html", t.foot.verifier, t.about.verifierText],
    ["/docs", t.foot.docs, t.about.docsText],
    ["/openapi.json", t.foot.openapi, t.about.openapiText],
    ["/anchor/", t.foot.anchor, t.about.anchorText],
  ] as const;
  return (
    <>
      <h1 tabIndex={-1}>{t.about.title}</h1>
      <p>{t.about.what}</p>
      <p>{t.about.never}</p>
      <p>{t.about.limits}</p>
      <p>{t.about.unlinkable}</p>
      <h2>{t.about.parts}</h2>
      <dl>
        {parts.map(([href, name, text]) => (
          <div key={href}>
            <dt>
              <a href={href} target="_blank" rel="noreferrer">
                {name} <span class="unseen">({t.newWindow})</span>
              </a>
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
