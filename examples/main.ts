// Tells one of the examples, against the service that `npm start` runs: npm run example -- ehr-access
import { clinicalTrial } from "./clinical-trial/example.ts";
import { ehrAccess } from "./ehr-access/example.ts";
import { exchange } from "./exchange/example.ts";
import { remoteMonitoring } from "./remote-monitoring/example.ts";
import { beginStory, type Story } from "./story.ts";
import { supplyChain } from "./supply-chain/example.ts";

const EXAMPLES: ReadonlyMap<string, (story: Story) => Promise<void>> = new Map([
  ["ehr-access", ehrAccess],
  ["supply-chain", supplyChain],
  ["clinical-trial", clinicalTrial],
  ["remote-monitoring", remoteMonitoring],
  ["exchange", exchange],
]);

const name = process.argv[2] ?? "";
const example = EXAMPLES.get(name);
if (example === undefined) {
  process.stderr.write(`Which one? ${[...EXAMPLES.keys()].join(", ")}\n`);
  process.exitCode = 2;
} else {
  const story = beginStory(name);
  process.stdout.write(`The files are in ${story.folder}\n`);
  await example(story).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
}
