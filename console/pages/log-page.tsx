/** One log: how far it has come, its timeline, who has cosigned the anchor log, and when its time was stamped. */
import { ClientError } from "@kedge/verify/error";
import { parseAnswer } from "@kedge/verify/net/log";
import { timeText } from "@kedge/verify/rfc3339";
import { timestampSchema } from "@kedge/verify/time/timestampform";
import { parseCheckpoint } from "@kedge/verify/tlog/checkpoint";
import { TlogError } from "@kedge/verify/tlog/error";
import { parsePolicy, verifyPolicy } from "@kedge/verify/tlog/policy";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import * as z from "zod";
import type { Service } from "../session.ts";
import { type Asked, Loading, Problem, type ShellProps, Table, Time, useAsked } from "../ui.tsx";
import { Timeline } from "./timeline.tsx";

type LogPageProps = ShellProps & { id: string };

export function LogPage(props: LogPageProps) {
  const { t, f, logs, id, client, service, asking } = props;
  const log = logs.find((each) => each.id === id);
  const state = useAsked(() => asking(() => client.progress(id)), [id]);
  const timeline = useAsked(() => asking(() => client.timeline(id)), [id]);
  const witnesses = useAsked(() => witnessesOf(service), []);
  const timestamps = useAsked(() => timestampsOf(service), []);
  const [asOf, setAsOf] = useState(Date.now());
  useEffect(() => setAsOf(Date.now()), [state.value]);
  const refresh = () => {
    for (const { again } of [state, timeline, witnesses, timestamps]) again();
  };
  return (
    <>
      <p>
        <a href="#/logs">← {t.log.back}</a>
      </p>
      <h1 tabIndex={-1}>{log?.name ?? id}</h1>
      <div class="beside">
        <button type="button" onClick={refresh} aria-disabled={state.isBusy}>
          {t.log.refresh}
        </button>
        <p class="hint" role="status">
          {state.value && t.log.updated(f.time(new Date(asOf).toISOString()))}
        </p>
      </div>

      <h2>{t.log.progress}</h2>
      <Answered t={t} asked={state}>
        {(value) => <Stages {...props} progress={value} asOf={asOf} />}
      </Answered>

      <h2>{t.log.timeline}</h2>
      <Answered t={t} asked={timeline}>
        {(value) => <Timeline t={t} f={f} timeline={value} witnesses={namesOf(witnesses.value)} />}
      </Answered>

      <h2>{t.log.witnesses}</h2>
      <Answered t={t} asked={witnesses}>
        {(value) => <Witnesses {...props} found={value} />}
      </Answered>

      <h2>{t.log.timestamps}</h2>
      <Answered t={t} asked={timestamps}>
        {(value) => (
          <>
            <p>
              {value === "none"
                ? t.log.timestampsNone
                : t.log.timestampsOf(
                    f.number(value.size),
                    value.kinds.length === 0
                      ? t.none
                      : f.list(value.kinds.map((kind) => t.log.timestampKinds[kind])),
                  )}
            </p>
            {value !== "none" && <p class="hint">{t.log.timestampsHint}</p>}
          </>
        )}
      </Answered>

      {log && (
        <>
          <h2>{t.log.facts}</h2>
          <dl class="facts">
            <dt>{t.log.id}</dt>
            <dd class="code">{log.id}</dd>
            <dt>{t.log.origin}</dt>
            <dd class="code">{log.origin}</dd>
            {log.createdAt && (
              <>
                <dt>{t.log.created}</dt>
                <dd>
                  <Time f={f} at={log.createdAt} />
                </dd>
              </>
            )}
            <dt>{log.vkeys.length === 1 ? t.log.key : t.log.keys}</dt>
            {log.vkeys.map((vkey) => (
              <dd key={vkey} class="code">
                {vkey}
              </dd>
            ))}
          </dl>
          <p class="hint">{t.log.keysHint}</p>
        </>
      )}
    </>
  );
}

type AnsweredProps<T> = { t: ShellProps["t"]; asked: Asked<T>; children: (value: T) => JSX.Element };

function Answered<T>({ t, asked, children }: AnsweredProps<T>) {
  if (asked.error !== undefined) return <Problem t={t} error={asked.error} again={asked.again} />;
  return asked.value === undefined ? <Loading t={t} /> : children(asked.value);
}

// ---- how far it has come -----------------------------------------------------------------------------------------

const STAGES = ["sealed", "anchored", "witnessed", "timestamped"] as const;

type Progress = Awaited<ReturnType<ShellProps["client"]["progress"]>>;

function Stages({ t, f, progress, asOf }: LogPageProps & { progress: Progress; asOf: number }) {
  const { columns } = t.log;
  const { pendingSince, waitsFor } = progress;
  const sealed = progress.sealed?.size ?? 0;
  return (
    <>
      <p>
        <strong>{t.log.waiting}: </strong>
        {pendingSince === undefined
          ? t.log.waitingNone
          : t.log.waitingSince(f.span(asOf - Date.parse(pendingSince)), f.time(pendingSince))}
      </p>
      <Table caption={t.log.progressCaption}>
        <thead>
          <tr>
            <th scope="col">{columns.stage}</th>
            <th scope="col">{columns.means}</th>
            <th scope="col" class="number">
              {columns.entries}
            </th>
            <th scope="col">{columns.since}</th>
            <th scope="col" class="number">
              {columns.behind}
            </th>
          </tr>
        </thead>
        <tbody>
          {STAGES.map((stage) => {
            const at = progress[stage];
            const behind = sealed - (at?.size ?? 0);
            return (
              <tr key={stage}>
                <th scope="row">{t.logs.stages[stage]}</th>
                <td data-label={columns.means}>{t.log.means[stage]}</td>
                <td class="number" data-label={columns.entries}>
                  {f.number(at?.size ?? 0)}
                </td>
                <td data-label={columns.since}>
                  {at === undefined ? t.log.notYet : <Time f={f} at={at.at} />}
                </td>
                <td class="number" data-label={columns.behind}>
                  {behind === 0 ? t.log.upToDate : f.number(behind)}
                </td>
              </tr>
            );
          })}
        </tbody>
      </Table>
      {waitsFor.length > 0 && <p>{t.log.waitsFor(f.list(waitsFor))}</p>}
    </>
  );
}

// ---- the anchor log ----------------------------------------------------------------------------------------------

type WitnessesOf =
  | { readonly is: "absent" }
  | { readonly is: "refused" }
  | {
      readonly is: "found";
      readonly isMet: boolean;
      readonly witnesses: readonly { readonly name: string; readonly at?: string }[];
    };

/** Whose cosignatures stand under the anchor log's newest checkpoint: verified, by the policy that the service hands out. */
async function witnessesOf({ publicText }: Service): Promise<WitnessesOf> {
  const [policyText, note] = await Promise.all([
    publicText("/anchor/policy"),
    publicText("/anchor/checkpoint").catch(ifAbsent),
  ]);
  if (note === undefined) return { is: "absent" };
  try {
    const policy = parsePolicy(policyText);
    const { met, cosigned } = verifyPolicy({ policy, checkpoint: note });
    const witnesses = policy.witnesses.map(({ name }) => {
      const mine = cosigned.find((each) => each.name === name);
      return mine === undefined ? { name } : { name, at: timeText(mine.timestamp * 1_000n) };
    });
    return { is: "found", isMet: met, witnesses };
  } catch (error) {
    if (!(error instanceof TlogError)) throw error;
    return { is: "refused" };
  }
}

const namesOf = (found: WitnessesOf | undefined): string[] =>
  found?.is === "found" ? found.witnesses.map(({ name }) => name) : [];

function ifAbsent(error: unknown): undefined {
  if (!(error instanceof ClientError) || error.code !== "not_found") throw error;
}

function Witnesses({ t, f, found }: LogPageProps & { found: WitnessesOf }) {
  if (found.is === "absent") return <p>{t.log.noAnchor}</p>;
  if (found.is === "refused") return <Problem t={t} error={undefined} words={t.log.refused} />;
  if (found.witnesses.length === 0) return <p>{t.log.noWitnesses}</p>;
  return (
    <>
      <p>{found.isMet ? t.log.met : t.log.notMet}</p>
      <Table caption={t.log.witnessCaption}>
        <thead>
          <tr>
            <th scope="col">{t.log.witness}</th>
            <th scope="col">{t.log.cosigned}</th>
          </tr>
        </thead>
        <tbody>
          {found.witnesses.map(({ name, at }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td data-label={t.log.cosigned}>
                {at === undefined ? t.log.cosignedNo : <Time f={f} at={at} />}
              </td>
            </tr>
          ))}
        </tbody>
      </Table>
    </>
  );
}

type TimestampsOf = { readonly size: bigint; readonly kinds: readonly ("rfc3161" | "ots")[] };

/** What the newest timestamped checkpoint of the anchor log has. Nothing is verified. */
async function timestampsOf({ publicText }: Service): Promise<TimestampsOf | "none"> {
  const note = await publicText("/anchor/timestamped").catch(ifAbsent);
  if (note === undefined) return "none";
  const { size } = parseCheckpoint(note).checkpoint;
  const { timestamps } = parseAnswer(timestampsSchema, await publicText(`/anchor/timestamps/${size}`));
  return { size, kinds: [...new Set(timestamps.map(({ type }) => type))] };
}

const timestampsSchema = z.object({ timestamps: z.array(timestampSchema) });
