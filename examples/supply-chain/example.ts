/** A shipping event is back-dated, so that a box seems to have left the warehouse before its batch was recalled. */
import type { Story } from "../story.ts";

const BOXES = 12;
const RECALLED = "2026-03-06T00:00:00Z";
const SHIPPED = "2026-03-09T07:15:00.000+01:00";
const BACK_DATED = "2026-03-05T07:15:00.000+01:00";

/** GS1 EPCIS 2.0, a document an event, as a warehouse's system writes one for each box. */
function shipping(box: number, eventTime: string): string {
  const document = {
    "@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    type: "EPCISDocument",
    schemaVersion: "2.0",
    creationDate: eventTime,
    epcisBody: {
      eventList: [
        {
          type: "ObjectEvent",
          eventTime,
          eventTimeZoneOffset: "+01:00",
          epcList: [`https://id.gs1.org/01/09506000134352/10/LOT-7/21/BOX-${box}`],
          action: "OBSERVE",
          bizStep: "shipping",
          disposition: "in_transit",
          bizLocation: { id: "https://id.gs1.org/414/9506000134307" },
        },
      ],
    },
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

export async function supplyChain({ tell, write, copy, kedge, agent, folder }: Story): Promise<void> {
  tell(
    "1. Twelve boxes of a lot are shipped",
    `The warehouse's system writes an EPCIS document for each. The lot was recalled on ${RECALLED}.`,
  );
  for (let box = 1; box <= BOXES; box++) write(`wms/box-${box}.jsonld`, shipping(box, SHIPPED));
  const data = await agent(["--follow", `wms=${folder}/wms`], BOXES);
  const evidence = `${folder}/evidence`;
  await kedge(["find", "--data", data, "--source", "wms", "--export", evidence, "--wait", "anchored"]);

  tell("2. The document of one box is changed", `Its eventTime is now ${BACK_DATED}: before the recall.`);
  copy(evidence, "handed-over");
  write("handed-over/events/wms-5.json", shipping(5, BACK_DATED));

  tell(
    "3. What the auditor sees",
    "One of the documents that the distributor hands over is not what was logged.",
  );
  await kedge(["verify", "events", "proofs.ndjson"], 1, "handed-over");

  tell("4. The document as it was is proven", "It was in the log after the recall, and its own time agrees.");
  await kedge(["verify", "events", "proofs.ndjson"], 0, "evidence");

  tell(
    "5. Logging the changed document now does not help",
    "Its proof says by when it was in the log, and that its own time is its own word.",
  );
  const late = `${folder}/late.tlog-proof`;
  const changed = write("box-5.jsonld", shipping(5, BACK_DATED));
  await kedge(["post", changed, "--wait", "anchored"]);
  await kedge(["proof", changed, "--out", late]);
  await kedge(["verify", changed, late]);
}
