/** Alarms and dashboard: of metrics that are emitted, with a runbook entry, to a topic that somebody reads. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { ASSUMED } from "../../bench/cost/bill.ts";
import { FUNCTIONS } from "../../infra/names.ts";
import { SERVICE_METRICS, WITNESS_METRICS } from "../../platform/log.ts";
import {
  ALL,
  alarmsOf,
  asserted,
  type Deployment,
  dev,
  full,
  lambda,
  only,
  policyOf,
  prod,
  ROOTS,
  resources,
  restored,
  synthesise,
  synthesiseWitness,
} from "./templates.ts";

const EMITTED = Object.keys(SERVICE_METRICS);
/** Of these, what is emitted only where timestamps are configured. */
const OF_TIMESTAMPS = ["TimestampAge"];

const CALENDARS = { otsCalendars: ["https://ots.example.org"], bitcoinUrl: "https://blocks.example.org" };
const TIMESTAMPS = { tsaUrls: ["https://tsa.example.org"], tsaCerts: ROOTS };

const read = (document: string): string => readFileSync(join(import.meta.dirname, "../..", document), "utf8");

/** The section of a runbook whose heading has this anchor. */
function runbook(document: string, anchor: string): string {
  const sections = read(document)
    .split(/^#{2,3} /m)
    .slice(1);
  const slug = (section: string) =>
    (section.split("\n", 1)[0] ?? "")
      .trim()
      .toLowerCase()
      .replace(/[^\w -]/g, "")
      .replaceAll(" ", "-");
  return sections.find((section) => slug(section) === anchor) ?? "";
}

/** Runbooks by the prefix of the alarms' names. */
const RUNBOOKS = {
  "kedge-prod-": "docs/operations.md",
  "kedge-witness-prod-": "docs/witness.md",
};
const watched = synthesise({ timestamps: TIMESTAMPS });
const witness = synthesiseWitness({ silentHours: 24, runbooks: "https://example.org/witness.md" });
const documented = Object.entries(RUNBOOKS).flatMap(([prefix, document]) =>
  [watched.service, synthesiseWitness({ silentHours: 24 }).template]
    .flatMap(alarmsOf)
    .filter(({ AlarmName }) => AlarmName.startsWith(prefix))
    .map(({ AlarmName, AlarmDescription }) => ({
      ...{ name: AlarmName, description: AlarmDescription, document },
      anchor: AlarmName.replace(prefix, ""),
    })),
);

describe("alarms", () => {
  test.each(documented)(
    "$name says what it means and links its entry in the runbook, which has all three parts",
    ({ description, document, anchor }) => {
      expect(description).toMatch(/^[A-Z].+\. Runbook: /);
      expect(description.endsWith(` Runbook: ${document}#${anchor}`)).toBe(true);
      const entry = runbook(document, anchor);
      for (const part of ["Description", "Investigation", "Resolution"])
        expect(entry, `${document}: ${anchor}`).toContain(`**${part}`);
    },
  );

  test("the runbook's address can be configured", () => {
    for (const [stack, document] of [
      [full.service, "operations.md"],
      [witness.template, "witness.md"],
    ] as const) {
      for (const { AlarmName, AlarmDescription } of alarmsOf(stack)) {
        const anchor = AlarmName.replace(/^kedge-(witness-)?prod-/, "");
        expect(AlarmDescription).toContain(` Runbook: https://example.org/${document}#${anchor}`);
      }
    }
  });

  test.each([
    ...ALL.map(([name, { service }]) => [name, service] as const),
    ["witness", witness.template] as const,
  ])("%s: each tells the topic when it rises and when it ends, and CloudWatch may", (_, service) => {
    const [topic] = only(service, "AWS::SNS::Topic");
    expect(alarmsOf(service).length).toBeGreaterThan(0);
    for (const { AlarmActions, OKActions } of alarmsOf(service))
      expect([AlarmActions, OKActions]).toEqual([[{ Ref: topic }], [{ Ref: topic }]]);
    // A topic policy replaces the default one, by which CloudWatch could publish.
    const policies = resources(service, "AWS::SNS::TopicPolicy").map(([, policy]) => policyOf(policy));
    for (const statements of policies) {
      const [publish, ...more] = statements.filter(({ Effect }) => Effect === "Allow");
      expect(publish?.Action).toEqual(["sns:Publish"]);
      expect(publish?.Principal).toEqual({ Service: "cloudwatch.amazonaws.com" });
      expect(JSON.stringify(publish?.Condition["ArnLike"])).toMatch(/aws:SourceArn.*:cloudwatch:.*:alarm:/);
      expect(more).toEqual([]);
    }
  });

  test("someone is told where an address is configured", () => {
    asserted(full.service).hasResourceProperties("AWS::SNS::Subscription", {
      Protocol: "email",
      Endpoint: "on-call@example.org",
    });
    asserted(prod.service).resourceCountIs("AWS::SNS::Subscription", 0);
  });

  test("are those that docs/metrics.md names; missing data is a breach where it means that nothing runs", () => {
    const rows = [...read("docs/metrics.md").matchAll(/^\| `(\w+)` \| (\w+) \|.*\| (?:`([a-z-]+)`)? *\|$/gm)];
    expect(Object.fromEntries(rows.map(([, metric, unit]) => [metric, unit]))).toEqual(SERVICE_METRICS);
    const ours = alarmsOf(full.service).filter(({ Namespace }) => Namespace === "Kedge/prod");
    const alarmed = rows.flatMap(([, metric, , name]) => (name === undefined ? [] : [[metric, name]]));
    expect(
      ours.map(({ AlarmName, MetricName }) => [MetricName, AlarmName.replace("kedge-prod-", "")]).sort(),
    ).toEqual(alarmed.sort());
    const breaching = ours.filter(({ TreatMissingData }) => TreatMissingData === "breaching");
    expect(breaching.map(({ MetricName }) => MetricName)).toEqual(["SealLag", "AnchorAge", "TimestampAge"]);
  });

  const slow = synthesise({
    ...{ sealSeconds: 300, sweepMinutes: 60, anchorMinutes: 60 },
    timestamps: { ...TIMESTAMPS, everyMinutes: 1_440 },
  });
  const calendars = synthesise({ timestamps: CALENDARS });

  test("timestamp-age exists only where timestamps are configured, and rises after an hour at least", () => {
    const timestampAge = (deployment: Deployment) =>
      alarmsOf(deployment.service).filter(({ MetricName }) => MetricName === "TimestampAge");
    for (const deployment of [prod, dev, restored]) expect(timestampAge(deployment)).toEqual([]);
    for (const [deployment, hours] of [
      [full, 0.5],
      [slow, 24],
      // A calendar's timestamp is hours late when all is well.
      [calendars, 25],
    ] as const) {
      const [one, ...more] = timestampAge(deployment);
      expect(more).toEqual([]);
      expect(one?.Threshold).toBe(hours * 3_600_000);
      expect((one?.Period ?? 0) * (one?.EvaluationPeriods ?? 0)).toBeGreaterThanOrEqual(3_600);
    }
  });

  test("have periods that CloudWatch accepts: whole minutes, a day at most in all, and a week if of whole hours", () => {
    const week = synthesiseWitness({ silentHours: 168 }).template;
    const all = [week, ...[slow, calendars, full, prod, dev].map(({ service }) => service)].flatMap(alarmsOf);
    for (const { AlarmName, Period, EvaluationPeriods } of all) {
      if (Period === undefined) continue;
      expect([AlarmName, Period % 60]).toEqual([AlarmName, 0]);
      const days = Period % 3_600 === 0 ? 7 : 1;
      expect(Period * EvaluationPeriods, AlarmName).toBeLessThanOrEqual(days * 24 * 3_600);
    }
  });

  test("have periods no shorter than the time between two values of their metric", () => {
    const periods = Object.fromEntries(
      alarmsOf(slow.service).map(({ MetricName, Period }) => [MetricName ?? "", Period]),
    );
    expect(periods).toMatchObject({
      ...{ SealLag: 3_600, AnchorAge: 3_600, WitnessQuorum: 3_600, TimestampAge: 3_600 },
    });
  });
});

test.each(ALL)(
  "%s: alarms and dashboard watch the metrics that the functions emit, and all of them",
  (_, deployment) => {
    const { service } = deployment;
    const namespace = z.string().parse(lambda(service, "api").Environment.Variables["KEDGE_METRICS"]);
    for (const each of FUNCTIONS)
      expect(lambda(service, each).Environment.Variables["KEDGE_METRICS"]).toBe(namespace);
    const shown = [
      ...JSON.stringify(only(service, "AWS::CloudWatch::Dashboard")[1].Properties).matchAll(
        /\[\\+"(Kedge\/\w+)\\+",\\+"(\w+)\\+"/g,
      ),
    ].map(([, space, metric]) => [space, metric]);
    const watched = alarmsOf(service)
      .filter(({ Namespace }) => Namespace?.startsWith("Kedge/"))
      .map(({ Namespace, MetricName }) => [Namespace, MetricName]);
    expect(watched.length).toBeGreaterThan(0);
    for (const [space, metric] of [...shown, ...watched]) {
      expect(space).toBe(namespace);
      expect(EMITTED).toContain(metric);
    }
    // None is emitted, and paid for, that nobody watches.
    const asksForTimestamps = "KEDGE_TSA_EVERY" in lambda(service, "anchorer").Environment.Variables;
    const emitted = EMITTED.filter((metric) => asksForTimestamps || !OF_TIMESTAMPS.includes(metric));
    expect([...new Set(shown.map(([, metric]) => metric))].sort()).toEqual(emitted.sort());
  },
);

test("every metric of a witness pages, and its page names them all", () => {
  const { template } = synthesiseWitness({ silentHours: 24 });
  const watched = alarmsOf(template).filter(({ Namespace }) => Namespace?.startsWith("KedgeWitness/"));
  expect(watched.map(({ MetricName }) => MetricName).sort()).toEqual(Object.keys(WITNESS_METRICS).sort());
  const [, section = ""] = read("docs/witness.md").split(/^## Metrics$/m);
  const named = [...section.matchAll(/^- `(\w+)`:/gm)].map(([, name]) => name);
  expect(named.sort()).toEqual(Object.keys(WITNESS_METRICS).sort());
});

test("the bill of bench/cost counts as many alarm metrics, dashboards and keys as there are, and the sealer's memory", () => {
  const watched = resources(prod.service, "AWS::CloudWatch::Alarm").map(([, { Properties }]) =>
    z
      .array(z.looseObject({ MetricStat: z.unknown().optional() }))
      .default([{ MetricStat: {} }])
      .parse(Properties["Metrics"]),
  );
  const metrics = watched.flat().filter(({ MetricStat }) => MetricStat !== undefined);
  expect(metrics).toHaveLength(ASSUMED.alarmMetrics);
  asserted(prod.service).resourceCountIs("AWS::CloudWatch::Dashboard", ASSUMED.dashboards);
  asserted(prod.data).resourceCountIs("AWS::KMS::Key", ASSUMED.keys);
  expect(lambda(prod.service, "sealer").Environment.Variables["KEDGE_INDEX_MEMORY"]).toBe(
    String(ASSUMED.indexMemory),
  );
});
