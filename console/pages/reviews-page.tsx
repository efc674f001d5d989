/** Reviews that were signed off, as the trail has them. */
import { Loading, OlderButton, Problem, type ShellProps, Table, Time, usePages } from "../ui.tsx";
import { type Act, actOf, detailOf, TRAIL_PAGE, type TrailRow } from "./acts.ts";
import { logName } from "./grants.tsx";

/** Pages of the trail that are looked through at once. */
const PAGES = 10;

type Found = { readonly reviews: readonly Review[]; readonly next?: string | undefined };
type Review = { readonly row: TrailRow; readonly act: Act };

export function ReviewsPage(props: ShellProps) {
  const { t, f, client, asking } = props;
  const { first, pages, older } = usePages((from) => asking(() => reviewsOf(client, from)));
  const reviews = pages.flatMap((found) => found.reviews);
  const { columns } = t.reviews;
  return (
    <>
      <h1 tabIndex={-1}>{t.reviews.title}</h1>
      <p class="lead">{t.reviews.lead}</p>
      {first.error !== undefined && <Problem t={t} error={first.error} again={first.again} />}
      {first.value === undefined && first.isBusy && <Loading t={t} />}
      {first.value !== undefined && reviews.length === 0 && <p>{t.reviews.none}</p>}
      {reviews.length > 0 && (
        <Table caption={t.reviews.caption}>
          <thead>
            <tr>
              <th scope="col">{columns.when}</th>
              <th scope="col">{columns.who}</th>
              <th scope="col">{columns.log}</th>
              <th scope="col">{columns.period}</th>
              <th scope="col">{columns.filter}</th>
              <th scope="col" class="number">
                {columns.count}
              </th>
              <th scope="col">{columns.root}</th>
            </tr>
          </thead>
          <tbody>
            {reviews.map(({ row, act }) => (
              <tr key={row.commitment}>
                <th scope="row">
                  <Time f={f} at={row.at} />
                </th>
                <td data-label={columns.who}>{act.columns?.user?.name ?? act.columns?.user?.login ?? "–"}</td>
                <td data-label={columns.log}>
                  {logName(act.things.find(({ kind }) => kind === "log")?.id, props.logs)}
                </td>
                <td data-label={columns.period}>{periodOf(props, act)}</td>
                <td data-label={columns.filter}>{filterOf(props, act)}</td>
                <td class="number" data-label={columns.count}>
                  {f.number(Number(detailOf(act, "count") ?? 0))}
                </td>
                <td class="code" data-label={columns.root}>
                  {detailOf(act, "root")}
                </td>
              </tr>
            ))}
          </tbody>
        </Table>
      )}
      <OlderButton t={t} older={older} words={t.reviews.older} />
    </>
  );
}

async function reviewsOf(client: ShellProps["client"], from?: string): Promise<Found> {
  const reviews: Review[] = [];
  let before = from;
  for (let page = 0; page < PAGES; page++) {
    const { events, next } = await client.trail({ before, limit: TRAIL_PAGE });
    reviews.push(
      ...events.map((row) => ({ row, act: actOf(row) })).filter(({ act }) => act.code === "reviewed"),
    );
    before = next;
    if (before === undefined) break;
  }
  return { reviews, next: before };
}

function periodOf({ t, f }: ShellProps, act: Act): string {
  const [from, to] = [detailOf(act, "from"), detailOf(act, "to")];
  if (from !== undefined && to !== undefined) return t.reviews.period(f.time(from), f.time(to));
  if (from !== undefined) return t.reviews.from(f.time(from));
  return to === undefined ? t.reviews.wholePeriod : t.reviews.to(f.time(to));
}

function filterOf({ t, f }: ShellProps, { details }: Act): string {
  const names: Readonly<Record<string, string>> = t.reviews.filters;
  const members = details.flatMap(({ name, value }) => (name === "filter" ? [names[value] ?? value] : []));
  return members.length === 0 ? t.reviews.noFilter : f.list(members);
}
