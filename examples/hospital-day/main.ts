// Writes a synthetic hospital day to standard output, one FHIR AuditEvent a line (application/fhir+ndjson):
//   node dist/examples/hospital-day/main.js --seed 1 --date 2026-03-02 --events 500
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { hospitalDay } from "./generate.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    date: { type: "string", default: "2026-03-02" },
    events: { type: "string", default: "500" },
  },
});

const day = hospitalDay({ seed: Number(values.seed), date: values.date, events: Number(values.events) });

function* lines(): Generator<string> {
  for (const { resource } of day) yield `${JSON.stringify(resource)}\n`;
}

await pipeline(lines, process.stdout);
