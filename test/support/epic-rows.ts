/** An extract of an EHR's access log in Epic's columns, made up: nobody in it is real. */
import { once } from "node:events";
import { createWriteStream } from "node:fs";

const COLUMNS = [
  "ACCESS_LOG.ACCESS_TIME",
  "ACCESS_LOG_METRIC.METRIC_NAME",
  "ACCESS_LOG.WORKSTATION_ID",
  "ZC_METRIC_GROUP.NAME",
  "ZC_ACCESS_ACTION.NAME",
  "PATIENT.PAT_MRN_ID",
  "PATIENT.PAT_FIRST_NAME",
  "PATIENT.PAT_LAST_NAME",
  "CLARITY_DEP.DEPARTMENT_NAME",
  "ZC_BTG_REASON.NAME",
  "PAT_BTG.BTG_EXPLANATION",
  "CLARITY_EMP.SYSTEM_LOGIN",
  "CLARITY_EMP.USER_ID",
];
const pick = (from: readonly string[], i: number): string => from[i % from.length] ?? "";
const METRICS = ["Chart Review", "Medication Activity", "Results Review", "Break-the-Glass"];
const ACTIONS = ["View", "Modify", "Print", "Export"];
const NAMES = ["Ashdown", "Berrio", "Castellane", "Dunmore", "Eskelin", "Farrow", "Grantley"];

export const EPIC_HEADER = COLUMNS.join("|");

/** The `i`-th row; each is another. */
export function epicRow(i: number): string {
  const time = new Date(Date.UTC(2026, 2, 1) + 1_000 * i).toISOString().slice(0, 19).replace("T", " ");
  const isGlass = i % 97 === 0;
  return [
    ...[time, pick(METRICS, i), `WS-${i % 613}`, "Clinical", pick(ACTIONS, i >> 2)],
    ...[`${1_000_000 + (i % 40_009)}`, pick(NAMES, i % 11), pick(NAMES, i % 13), `Ward ${i % 29}`],
    ...[isGlass ? "Direct care" : "", isGlass ? `"on call; case ${i}"` : "", `login${i % 701}`, `U${i}`],
  ].join("|");
}

export async function writeEpicRows(path: string, count: number): Promise<void> {
  const file = createWriteStream(path);
  file.write(`${EPIC_HEADER}\r\n`);
  for (let i = 0; i < count; i += 1_000) {
    const rows = Array.from({ length: Math.min(1_000, count - i) }, (_, j) => `${epicRow(i + j)}\r\n`);
    if (!file.write(rows.join(""))) await once(file, "drain");
  }
  file.end();
  await once(file, "finish");
}
