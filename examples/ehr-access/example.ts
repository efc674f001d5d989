/** A look at a neighbour's record is deleted from the EHR's own table. */
import { hospitalDay } from "../hospital-day/generate.ts";
import { lines, type Story } from "../story.ts";

const EVENTS = 120;
const NEIGHBOUR = "Patient/neighbour-0417";

/** What the nurse has no business with: the same form as all others, for the EHR wrote it. */
const look = (n: number, recorded: string) => ({
  resourceType: "AuditEvent",
  id: `look-${n}`,
  type: { system: "http://terminology.hl7.org/CodeSystem/audit-event-type", code: "rest" },
  subtype: [{ system: "http://hl7.org/fhir/restful-interaction", code: "read", display: "read" }],
  action: "R",
  recorded,
  outcome: "0",
  agent: [
    {
      who: { identifier: { value: "k.holm" } },
      name: "Karin Holm",
      requestor: true,
      network: { address: "WARD-3-PC2" },
    },
  ],
  source: { observer: { display: "ehr" } },
  entity: [
    {
      what: { reference: NEIGHBOUR },
      role: { system: "http://terminology.hl7.org/CodeSystem/object-role", code: "1", display: "Patient" },
    },
  ],
});

export async function ehrAccess(story: Story): Promise<void> {
  const { tell, write, kedge, agent } = story;
  const day: object[] = [...hospitalDay({ seed: 7, date: "2026-03-02", events: EVENTS })].map(
    ({ resource }) => resource,
  );
  day.splice(80, 0, look(1, "2026-03-02T16:21:07.000Z"), look(2, "2026-03-02T16:24:55.000Z"));

  tell(
    "1. The EHR writes its access log, and the agent follows it",
    "Each event has its number before it is posted. No event leaves this machine.",
  );
  const log = write("ehr.ndjson", lines(day));
  const data = await agent(["--follow", `ehr=${log}`], day.length);

  tell(
    "2. A patient asks who has looked at her record",
    "The compliance officer asks the journal, and keeps what was found with its proofs.",
  );
  await kedge(["find", "--data", data, "--patient", NEIGHBOUR]);
  const evidence = `${story.folder}/evidence`;
  await kedge(["find", "--data", data, "--patient", NEIGHBOUR, "--export", evidence, "--wait", "anchored"]);

  tell(
    "3. Somebody deletes the two rows from the EHR's own table",
    "This is what the EHR shows from then on.",
  );
  const shown = write(
    "ehr-after.ndjson",
    lines(day.filter((event) => !JSON.stringify(event).includes(NEIGHBOUR))),
  );

  tell(
    "4. What the auditor sees",
    "The export of the EHR against the log: two entries are of no event in it.",
  );
  const all = `${story.folder}/all`;
  await kedge(["find", "--data", data, "--source", "ehr", "--export", all]);
  await kedge(["audit", "--events", shown, "--records", `${all}/records.ndjson`, "--source", "ehr"], 1);

  tell(
    "5. And the rows that were kept are proven",
    "Offline, from the event, its proof and the pinned keys.",
  );
  await kedge(["verify", "events", "proofs.ndjson"], 0, "evidence");
}
