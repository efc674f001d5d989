/** A value of a trial is changed without the audit record that 21 CFR 11.10(e) asks for. */
import type { Story } from "../story.ts";

type Value = { value: string; at: string; by: string; reason?: string };

/** CDISC ODM 1.3: a subject's visit as the EDC system exports it, each value with its audit record. */
function visit(values: readonly Value[]): string {
  const items = values.map(
    (
      { value, at, by, reason },
      i,
    ) => `          <ItemData ItemOID="IT.SYSBP" TransactionType="${i === 0 ? "Insert" : "Update"}" Value="${value}">
            <AuditRecord>
              <UserRef UserOID="${by}"/><LocationRef LocationOID="SITE.04"/><DateTimeStamp>${at}</DateTimeStamp>${
                reason === undefined ? "" : `<ReasonForChange>${reason}</ReasonForChange>`
              }
            </AuditRecord>
          </ItemData>`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>
<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" FileOID="V1" FileType="Transactional" CreationDateTime="2026-03-04T18:00:00Z" ODMVersion="1.3.2">
  <ClinicalData StudyOID="ST.17" MetaDataVersionOID="MD.1">
    <SubjectData SubjectKey="04-0031">
      <StudyEventData StudyEventOID="SE.WEEK4">
        <FormData FormOID="F.VITALS"><ItemGroupData ItemGroupOID="IG.BP">
${items.join("\n")}
        </ItemGroupData></FormData>
      </StudyEventData>
    </SubjectData>
  </ClinicalData>
</ODM>
`;
}

const MEASURED: Value = { value: "164", at: "2026-03-04T09:12:00Z", by: "USR.NURSE" };
const CORRECTED: Value = {
  value: "146",
  at: "2026-03-04T15:40:00Z",
  by: "USR.MONITOR",
  reason: "digits swapped",
};

export async function clinicalTrial({ tell, write, copy, kedge, agent, folder }: Story): Promise<void> {
  tell(
    "1. The EDC system exports a visit, and later its correction",
    "The second file has both values: the correction has an audit record with who, when and why.",
  );
  write("edc/week4.xml", visit([MEASURED]));
  write("edc/week4-corrected.xml", visit([MEASURED, CORRECTED]));
  const data = await agent(["--follow", `edc=${folder}/edc`], 2);
  const evidence = `${folder}/evidence`;
  await kedge(["find", "--data", data, "--source", "edc", "--export", evidence, "--wait", "anchored"]);

  tell(
    "2. Before the inspection the value is changed once more",
    "The blood pressure is 132 now, and no audit record says so.",
  );
  copy(evidence, "shown");
  write("shown/events/edc-2.xml", visit([MEASURED, { ...CORRECTED, value: "132" }]));

  tell("3. What the inspector sees", "One of the two files at the site is not what was logged.");
  await kedge(["verify", "events", "proofs.ndjson"], 1, "shown");

  tell(
    "4. Both files that were logged are proven",
    "The correction with its record, and the first measurement.",
  );
  await kedge(["verify", "events", "proofs.ndjson"], 0, "evidence");
}
