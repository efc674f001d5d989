/** An hour of a device's observations is dropped: the numbers show the gap. */
import { lines, type Story } from "../story.ts";

const MINUTES = 180;
const START = Date.parse("2026-03-02T20:00:00Z");

/** FHIR R4: the pulse that a monitor at a patient's home sends each minute. */
const observation = (minute: number) => ({
  resourceType: "Observation",
  id: `pulse-${minute}`,
  status: "final",
  code: { coding: [{ system: "http://loinc.org", code: "8867-4", display: "Heart rate" }] },
  subject: { reference: "Patient/home-0231" },
  device: { reference: "Device/monitor-77" },
  effectiveDateTime: new Date(START + minute * 60_000).toISOString(),
  valueQuantity: {
    value: minute >= 60 && minute < 120 ? 150 + (minute % 7) : 70 + (minute % 5),
    unit: "/min",
  },
});

export async function remoteMonitoring({ tell, write, kedge, agent, folder }: Story): Promise<void> {
  const night = Array.from({ length: MINUTES }, (_, minute) => observation(minute));

  tell(
    "1. A monitor at home sends a pulse each minute",
    "For three hours; for one of them it is far too high, and nobody is called.",
  );
  const data = await agent(["--follow", `monitor-77=${write("monitor-77.ndjson", lines(night))}`], MINUTES);
  const kept = `${folder}/kept`;
  await kedge(["find", "--data", data, "--source", "monitor-77", "--export", kept, "--wait", "anchored"]);

  tell(
    "2. The platform hands over the night without that hour",
    "As if the monitor had been offline from 21:00 to 22:00.",
  );
  const handedOver = write("handed-over.ndjson", lines([...night.slice(0, 60), ...night.slice(120)]));

  tell(
    "3. What the expert sees",
    "Numbers 61 to 120 of this source are in the log, and not in what was handed over.",
  );
  await kedge(
    ["audit", "--events", handedOver, "--records", `${kept}/records.ndjson`, "--source", "monitor-77"],
    1,
  );
  await kedge(["verify", "events/monitor-77-90.json", "proofs.ndjson"], 0, "kept");
}
