/** Two organisations exchange documents, each logs its side, and one denies a disclosure. */
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Story } from "../story.ts";

const DOCUMENTS = ["referral", "discharge-letter", "lab-report"] as const;
const DENIED = 2;

type Side = { event: "110106" | "110107"; name: "Export" | "Import"; from: string; to: string };

/** DICOM PS3.15 A.5: what an ATNA node logs of a document that goes out, or comes in. */
function message({ event, name, from, to }: Side, document: string, at: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><AuditMessage><EventIdentification EventActionCode="${name === "Export" ? "R" : "C"}" EventDateTime="${at}" EventOutcomeIndicator="0"><EventID csd-code="${event}" codeSystemName="DCM" originalText="${name}"/></EventIdentification><ActiveParticipant UserID="${from}" UserIsRequestor="true" NetworkAccessPointID="${from}.example" NetworkAccessPointTypeCode="1"><RoleIDCode csd-code="110153" codeSystemName="DCM" originalText="Source Role ID"/></ActiveParticipant><ActiveParticipant UserID="${to}" UserIsRequestor="false" NetworkAccessPointID="${to}.example" NetworkAccessPointTypeCode="1"><RoleIDCode csd-code="110152" codeSystemName="DCM" originalText="Destination Role ID"/></ActiveParticipant><AuditSourceIdentification AuditSourceID="${name === "Export" ? from : to}"/><ParticipantObjectIdentification ParticipantObjectID="p-0417" ParticipantObjectTypeCode="1" ParticipantObjectTypeCodeRole="1"><ParticipantObjectIDTypeCode csd-code="2" codeSystemName="RFC-3881" originalText="Patient Number"/></ParticipantObjectIdentification><ParticipantObjectIdentification ParticipantObjectID="${document}" ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="3"><ParticipantObjectIDTypeCode csd-code="9" codeSystemName="RFC-3881" originalText="Report Number"/></ParticipantObjectIdentification></AuditMessage>`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  await new Promise((closed) => server.close(closed));
  return port;
}

/** Octet-counted, as RFC 6587 §3.4.1 has it. */
async function sendSyslog(port: number, messages: readonly string[]): Promise<void> {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
    } catch {
      await sleep(200); // the agent does not listen yet
      continue;
    }
    for (const text of messages) {
      const frame = Buffer.from(`<85>1 2026-03-03T10:00:00Z node app 1 IHE+RFC-3881 - ${text}`);
      socket.write(`${frame.length} `);
      socket.write(frame);
    }
    socket.end();
    await once(socket, "close");
    return;
  }
}

export async function exchange({ tell, write, kedge, agent, folder }: Story): Promise<void> {
  const times = DOCUMENTS.map((_, i) => `2026-03-03T1${i}:00:00Z`);
  const side = (event: Side["event"], name: Side["name"]) =>
    DOCUMENTS.map((document, i) =>
      message({ event, name, from: "hospital-a", to: "clinic-b" }, document, times[i] ?? ""),
    );
  const sent = side("110106", "Export");
  const received = side("110107", "Import");

  const [portA, portB] = [await freePort(), await freePort()];

  tell(
    "1. Two tenants: a hospital, and a clinic",
    "Each has a key and a log of its own, and knows nothing of the other's.",
  );
  const clinic = `${folder}/clinic.json`;
  await kedge(["tenant", "create", "Clinic B", "--out", clinic]);

  tell(
    "2. The hospital sends three documents, and its node logs that",
    "Audit messages of IHE ATNA, over syslog.",
  );
  const ours = await agent(["--syslog", `node-a=tcp://127.0.0.1:${portA}`], sent.length, () =>
    sendSyslog(portA, sent),
  );
  await kedge([
    "find",
    "--data",
    ours,
    "--source",
    "node-a",
    "--export",
    `${folder}/hospital`,
    "--wait",
    "anchored",
  ]);

  tell("3. The clinic's node logs what it receives");
  const theirs = await agent(
    ["--credentials", clinic, "--syslog", `node-b=tcp://127.0.0.1:${portB}`],
    received.length,
    () => sendSyslog(portB, received),
    "clinic-agent",
  );
  await kedge([
    "find",
    "--data",
    theirs,
    "--credentials",
    clinic,
    "--source",
    "node-b",
    "--export",
    `${folder}/clinic`,
    "--wait",
    "anchored",
  ]);

  tell(
    "4. The clinic denies one of them",
    "The messages that it hands over are two: the discharge letter is not among them.",
  );
  for (const [i, text] of received.entries())
    if (i + 1 !== DENIED) write(`handed-over/node-b-${i + 1}.xml`, text);

  tell("5. What the arbiter sees", "The hospital proves that it had logged the disclosure by then.");
  await kedge(["verify", `events/node-a-${DENIED}.xml`, "proofs.ndjson"], 0, "hospital");
  tell("", "And what the clinic handed over is not all that its own log has of its node.");
  await kedge(
    [
      "audit",
      "--credentials",
      clinic,
      "--events",
      `${folder}/handed-over`,
      "--records",
      `${folder}/clinic/records.ndjson`,
      "--source",
      "node-b",
    ],
    1,
  );
}
