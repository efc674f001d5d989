/** Made-up events of every format, as their senders write them. No person in them exists. */

import { GAP_MEDIA_TYPE, gapBytes } from "@kedge/verify/events/gap";

export type Sample = { name: string; format: string; mediaType: string; text: string };

const json = (value: unknown): string => JSON.stringify(value, undefined, 2);

export const AUDIT_EVENT_R4 = json({
  resourceType: "AuditEvent",
  type: {
    system: "http://terminology.hl7.org/CodeSystem/audit-event-type",
    code: "rest",
    display: "Restful Operation",
  },
  subtype: [{ system: "http://hl7.org/fhir/restful-interaction", code: "read", display: "read" }],
  action: "R",
  recorded: "2026-03-14T10:32:07.123+01:00",
  outcome: "0",
  outcomeDesc: "Found",
  agent: [
    {
      type: { coding: [{ code: "110152", display: "Destination" }] },
      who: { display: "FHIR server" },
      requestor: false,
    },
    {
      type: { coding: [{ code: "humanuser", display: "human user" }] },
      role: [{ text: "ward nurse" }],
      who: { identifier: { value: "nurse-17" }, display: "Test Nurse" },
      altId: "tnurse",
      name: "Nurse, Test",
      requestor: true,
      location: { display: "Ward 4" },
      network: { address: "ws-0042", type: "1" },
    },
  ],
  source: { site: "Test Hospital", observer: { display: "Test EHR" } },
  entity: [
    {
      what: {
        reference: "Patient/p-1/_history/3",
        identifier: { value: "9900001" },
        display: "Sample, Anna",
      },
      type: { code: "1" },
      role: { code: "1", display: "Patient" },
    },
    {
      what: { reference: "https://fhir.example/Observation/o-7" },
      type: { code: "2", display: "System Object" },
    },
  ],
});

export const AUDIT_EVENT_R5 = json({
  resourceType: "AuditEvent",
  category: [{ coding: [{ code: "rest", display: "RESTful Operation" }] }],
  code: { coding: [{ code: "update", display: "update" }] },
  action: "U",
  recorded: "2026-03-14T09:32:07Z",
  outcome: {
    code: { system: "http://hl7.org/fhir/issue-severity", code: "error", display: "Error" },
    detail: [{ text: "version conflict" }],
  },
  authorization: [{ coding: [{ code: "TREAT", display: "treatment" }] }],
  patient: { reference: "Patient/p-2", display: "Sample, Boris" },
  agent: [
    {
      who: { reference: "Practitioner/d-1", display: "Test Doctor" },
      role: [{ coding: [{ code: "physician", display: "Physician" }] }],
      requestor: true,
      networkString: "10.1.2.3",
    },
  ],
  source: { site: { display: "Test Clinic" }, observer: { reference: "Device/ehr" } },
  entity: [{ what: { reference: "MedicationRequest/m-1" }, role: { coding: [{ code: "4" }] } }],
});

/** IHE BALP: the profile of a patient's record being read, under a consent, behind broken glass. */
export const BALP = json({
  resourceType: "AuditEvent",
  meta: { profile: ["https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead"] },
  type: { code: "rest" },
  subtype: [{ code: "read" }],
  action: "R",
  recorded: "2026-03-14T10:40:00Z",
  outcome: "0",
  purposeOfEvent: [
    {
      coding: [
        {
          system: "http://terminology.hl7.org/CodeSystem/v3-ActReason",
          code: "BTG",
          display: "break the glass",
        },
      ],
      text: "Unconscious on arrival",
    },
  ],
  agent: [
    {
      type: { coding: [{ code: "IRCP", display: "information recipient" }] },
      who: { identifier: { value: "tdoctor" }, display: "Test Doctor" },
      requestor: true,
    },
  ],
  source: { observer: { reference: "Device/gateway" } },
  entity: [
    { what: { reference: "Consent/c-1" }, type: { code: "2", display: "System Object" } },
    { what: { reference: "Patient/p-3" }, type: { code: "1" }, role: { code: "1" } },
    { what: { reference: "Immunization/i-1" }, type: { code: "2" } },
  ],
});

export const AUDIT_EVENT_XML = `<?xml version="1.0" encoding="UTF-8"?>
<AuditEvent xmlns="http://hl7.org/fhir">
  <text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml">Pr\u00fcfung</div></text>
  <type><code value="rest"/></type>
  <subtype><code value="read"/></subtype>
  <action value="R"/>
  <recorded value="2026-03-14T10:32:07Z"/>
  <outcome value="4"/>
  <agent>
    <who><identifier><value value="tnurse"/></identifier><display value="M\u00fcller &amp; Test"/></who>
    <requestor value="true"/>
  </agent>
  <source><observer><display value="Test EHR"/></observer></source>
  <entity><what><reference value="Patient/p-1"/></what><role><code value="1"/></role></entity>
</AuditEvent>
`;

export const BUNDLE_JSON = `{ "resourceType": "Bundle", "type": "transaction", "entry": [
  { "fullUrl": "urn:uuid:1", "resource": ${AUDIT_EVENT_R4.replaceAll("\n", "\r\n")} , "request": {"method": "POST", "url": "AuditEvent"} },
  { "request": { "method": "DELETE", "url": "AuditEvent/2" } },
  { "resource" :{"resourceType":"Provenance","recorded":"2026-03-14T10:00:00Z","target":[{"reference":"Patient/p-1"}],"id":"\\u00fc{[","ü":1e400},
    "request": { "method": "POST", "url": "Provenance", "ifNoneExist": "identifier=x" } }
] }`;

export const BUNDLE_XML = `<Bundle xmlns="http://hl7.org/fhir"><!-- <entry> --><type value="batch"/>
  <entry><fullUrl value="urn:uuid:1"/><resource><AuditEvent><recorded value="2026-03-14T10:32:07Z"/><agent><name value="\u00c4"/></agent></AuditEvent></resource>
    <request><method value="POST"/><url value="AuditEvent"/></request></entry>
  <entry><request><method value="DELETE"/><url value="AuditEvent/2"/></request></entry>
  <entry><resource><Basic/></resource></entry>
</Bundle>`;

export const OBSERVATION = json({
  resourceType: "Observation",
  status: "final",
  code: { coding: [{ code: "8867-4", display: "Heart rate" }] },
  subject: { reference: "Patient/p-4" },
  effectiveDateTime: "2026-03-14T10:32:00Z",
  performer: [{ reference: "Device/monitor-9" }],
  device: { display: "Bedside monitor 9" },
  valueQuantity: { value: 71.5 },
});

/** PS3.15 A.5: `csd-code` and `originalText`. */
export const DICOM = `<?xml version="1.0" encoding="UTF-8"?>
<AuditMessage>
  <EventIdentification EventActionCode="E" EventDateTime="2026-03-14T10:32:07.000+01:00" EventOutcomeIndicator="8">
    <EventID csd-code="110112" codeSystemName="DCM" originalText="Query"/>
    <EventTypeCode csd-code="ITI-18" codeSystemName="IHE Transactions" originalText="Registry Stored Query"/>
    <EventOutcomeDescription>time out</EventOutcomeDescription>
    <PurposeOfUse csd-code="BTG" codeSystemName="ActReason" originalText="break the glass"/>
  </EventIdentification>
  <ActiveParticipant UserID="http://registry.example/ws" UserIsRequestor="false" NetworkAccessPointID="registry.example" NetworkAccessPointTypeCode="1"/>
  <ActiveParticipant UserID="tdoctor" UserName="Test Doctor" UserIsRequestor="true" NetworkAccessPointID="10.1.2.3" NetworkAccessPointTypeCode="2">
    <RoleIDCode csd-code="110153" codeSystemName="DCM" originalText="Source Role ID"/>
  </ActiveParticipant>
  <AuditSourceIdentification AuditSourceID="pacs-1" AuditEnterpriseSiteID="Test Hospital"/>
  <ParticipantObjectIdentification ParticipantObjectID="9900001^^^&amp;1.2.3&amp;ISO" ParticipantObjectTypeCode="1" ParticipantObjectTypeCodeRole="1">
    <ParticipantObjectIDTypeCode csd-code="2" originalText="Patient Number"/>
    <ParticipantObjectName>Sample, Anna</ParticipantObjectName>
  </ParticipantObjectIdentification>
  <ParticipantObjectIdentification ParticipantObjectID="9900002^^^&amp;1.2.3&amp;ISO" ParticipantObjectTypeCode="1" ParticipantObjectTypeCodeRole="1">
    <ParticipantObjectIDTypeCode csd-code="2" originalText="Patient Number"/>
  </ParticipantObjectIdentification>
  <ParticipantObjectIdentification ParticipantObjectID="1.2.3" ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="24">
    <ParticipantObjectIDTypeCode csd-code="ITI-18" originalText="Registry Stored Query"/>
  </ParticipantObjectIdentification>
</AuditMessage>`;

/** RFC 3881 as one sender in the field writes it: the name of a variable where the code should be. */
export const RFC_3881_BROKEN = `<AuditMessage xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="healthcare-security-audit.xsd"><EventIdentification EventActionCode="R" EventDateTime="2026-03-14T10:32:07" EventOutcomeIndicator="0"><EventID code="eventIDcode" codeSystemName="DCM" displayName="Patient Record"/></EventIdentification><ActiveParticipant UserID="tclerk" AlternativeUserID="9"/><AuditSourceIdentification AuditSourceID="emr"/><ParticipantObjectIdentification ParticipantObjectID="9900003" ParticipantObjectTypeCode="1" ParticipantObjectTypeCodeRole="1"><ParticipantObjectIDTypeCode code="2"/></ParticipantObjectIdentification></AuditMessage>`;

const OBJECT_EVENT = json({
  type: "ObjectEvent",
  eventID: "ni:///sha-256;00?ver=CBV2.0",
  eventTime: "2026-03-14T10:32:07+01:00",
  eventTimeZoneOffset: "+01:00",
  action: "OBSERVE",
  bizStep: "shipping",
  disposition: "in_transit",
  epcList: ["urn:epc:id:sgtin:0614141.107346.2017", "https://id.gs1.org/01/10614141073464/10/LOT%2F7/21/99"],
  quantityList: [{ epcClass: "urn:epc:class:lgtin:4012345.012345.L9", quantity: 200 }],
  readPoint: { id: "urn:epc:id:sgln:0614141.07346.1234" },
  bizLocation: { id: "urn:epc:id:sgln:0614141.07346.0" },
});
export const EPCIS_EVENT = OBJECT_EVENT;
export const EPCIS_DOCUMENT = `{"@context": "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", "type": "EPCISDocument", "schemaVersion": "2.0",
"epcisBody": {"eventList": [ ${OBJECT_EVENT} , {"type":"AggregationEvent","eventTime":"2026-03-14T11:00:00Z","parentID":"urn:epc:id:sscc:0614141.1234567890","childEPCs":[]} ]}}`;
export const EPCIS_XML = `<?xml version="1.0"?>
<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2" xmlns:ex="https://ex.example/" schemaVersion="2.0" creationDate="2026-03-14T10:32:07Z">
  <EPCISBody><EventList>
    <ObjectEvent><eventTime>2026-03-14T10:32:07Z</eventTime><eventTimeZoneOffset>+00:00</eventTimeZoneOffset><epcList><epc>urn:epc:id:sgtin:0614141.107346.2017</epc></epcList><action>ADD</action><bizStep>urn:epcglobal:cbv:bizstep:commissioning</bizStep><readPoint><id>urn:epc:id:sgln:0614141.07346.1234</id></readPoint><ex:note ex:kind="\u00fc">x</ex:note></ObjectEvent>
    <extension><TransformationEvent><eventTime>2026-03-14T10:33:00Z</eventTime></TransformationEvent></extension>
  </EventList></EPCISBody>
</epcis:EPCISDocument>`;

export const ODM = `<?xml version="1.0" encoding="UTF-8"?>
<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:v="https://vendor.example/" FileType="Transactional" FileOID="F1" CreationDateTime="2026-03-14T12:00:00Z" SourceSystem="Test EDC">
  <ClinicalData StudyOID="S1" MetaDataVersionOID="3">
    <SubjectData SubjectKey="0001" TransactionType="Insert"><AuditRecord><UserRef UserOID="tmonitor"/><LocationRef LocationOID="Site-2"/><DateTimeStamp>2026-03-14T09:00:00Z</DateTimeStamp></AuditRecord>
      <StudyEventData StudyEventOID="SCREEN" StudyEventRepeatKey="1">
        <FormData FormOID="DM" FormRepeatKey="1"><ItemGroupData ItemGroupOID="DM" ItemGroupRepeatKey="2">
          <ItemData ItemOID="DM.SEX" v:id="7" TransactionType="Update" Value="F&#xC4;"><AuditRecord EditPoint="Monitoring"><UserRef UserOID="tinvestigator"/><LocationRef LocationOID="Site-2"/><DateTimeStamp>2026-03-14T10:32:07+01:00</DateTimeStamp><ReasonForChange>Transcription error</ReasonForChange><SourceID>4711</SourceID></AuditRecord></ItemData>
          <ItemDataString ItemOID="DM.SITE" AuditRecordID="AR.1">Z\u00fcrich</ItemDataString>
          <ItemData ItemOID="DM.AGE" Value="44"/>
        </ItemGroupData></FormData>
      </StudyEventData>
    </SubjectData>
    <AuditRecords><AuditRecord ID="AR.1"><UserRef UserOID="tloader"/><LocationRef LocationOID="Site-1"/><DateTimeStamp>2026-03-14T08:00:00Z</DateTimeStamp></AuditRecord></AuditRecords>
  </ClinicalData>
</ODM>`;

export const ODM_RECORD = `{"FormOID":"DM","FormRepeatKey":"1","ItemGroupOID":"DM","ItemGroupRepeatKey":"2","MetaDataVersionOID":"3","StudyEventOID":"SCREEN","StudyEventRepeatKey":"1","StudyOID":"S1","SubjectKey":"0001"}
<ItemDataString ItemOID="DM.SITE" AuditRecordID="AR.1">Z\u00fcrich</ItemDataString>
<AuditRecord ID="AR.1"><UserRef UserOID="tloader"/><LocationRef LocationOID="Site-1"/><DateTimeStamp>2026-03-14T08:00:00Z</DateTimeStamp></AuditRecord>`;

export const CLOUD_EVENT = json({
  specversion: "1.0",
  type: "org.example.record.opened",
  source: "/ehr/ward-4",
  id: "1",
  time: "2026-03-14T10:32:07Z",
  subject: "record-7",
  data: { size: 5 },
});
export const CLOUD_EVENT_FHIR = `{"specversion":"1.0","type":"fhir.audit","source":"/gateway","id":"2","datacontenttype":"application/fhir+json","data":${AUDIT_EVENT_R4}}`;

export const CLOUDTRAIL = json({
  eventVersion: "1.08",
  userIdentity: {
    type: "AssumedRole",
    principalId: "AROAEXAMPLE:tadmin",
    arn: "arn:aws:sts::000000000000:assumed-role/admin/tadmin",
    sessionContext: { sessionIssuer: { userName: "admin" } },
  },
  eventTime: "2026-03-14T10:32:07Z",
  eventSource: "healthlake.amazonaws.com",
  eventName: "ReadResource",
  awsRegion: "eu-central-1",
  sourceIPAddress: "192.0.2.7",
  errorCode: "AccessDenied",
  resources: [
    {
      type: "AWS::HealthLake::FHIRDatastore",
      ARN: "arn:aws:healthlake:eu-central-1:000000000000:datastore/fhir/1",
    },
  ],
});

export const OCSF = json({
  class_uid: 6005,
  class_name: "Datastore Activity",
  activity_id: 2,
  activity_name: "Read",
  time: 1773480727123,
  metadata: { version: "1.3.0", product: { name: "Records DB", vendor_name: "Example" } },
  actor: { user: { name: "tclerk", full_name: "Test Clerk", type: "User", org: { ou_name: "Billing" } } },
  src_endpoint: { ip: "192.0.2.9" },
  resources: [{ type: "table", name: "admissions" }],
  status: "Success",
  severity_id: 1,
});

export const EPIC_HEADER =
  "ACCESS_LOG.ACCESS_TIME|ACCESS_LOG_METRIC.METRIC_NAME|ACCESS_LOG.WORKSTATION_ID|ZC_METRIC_GROUP.NAME|ZC_ACCESS_ACTION.NAME|PATIENT.PAT_MRN_ID|PATIENT.PAT_FIRST_NAME|PATIENT.PAT_MIDDLE_NAME|PATIENT.PAT_LAST_NAME|CLARITY_DEP.DEPARTMENT_NAME|ZC_BTG_REASON.NAME|PAT_BTG.BTG_EXPLANATION|CLARITY_EMP.SYSTEM_LOGIN|USER_ID";
export const EPIC_ROW =
  '2026-03-14 10:32:07|Chart viewed|WS-0042|Chart Review|View|9900001|Anna||Sample|Ward 4|Emergency|"Unconscious, ""no ID""\n on arrival"|TNURSE|1017';

export const GAP = new TextDecoder().decode(
  gapBytes({ kind: "overlong", octets: 2_000_000, detail: "a message above the limit" }),
);

/** One of each kind; what is told of them stands in the tests of their formats. */
export const SAMPLES: readonly Sample[] = [
  { name: "AuditEvent R4", format: "fhir", mediaType: "application/fhir+json", text: AUDIT_EVENT_R4 },
  { name: "AuditEvent R5", format: "fhir", mediaType: "application/fhir+json", text: AUDIT_EVENT_R5 },
  { name: "AuditEvent of BALP", format: "fhir", mediaType: "application/fhir+json", text: BALP },
  { name: "AuditEvent XML", format: "fhir", mediaType: "application/fhir+xml", text: AUDIT_EVENT_XML },
  { name: "Bundle JSON", format: "fhir", mediaType: "application/fhir+json", text: BUNDLE_JSON },
  { name: "Bundle XML", format: "fhir", mediaType: "application/fhir+xml", text: BUNDLE_XML },
  { name: "Observation", format: "fhir", mediaType: "application/fhir+json", text: OBSERVATION },
  { name: "DICOM", format: "dicom", mediaType: "application/xml", text: DICOM },
  { name: "RFC 3881", format: "dicom", mediaType: "application/ihe+rfc3881", text: RFC_3881_BROKEN },
  { name: "EPCIS event", format: "epcis", mediaType: "application/ld+json", text: EPCIS_EVENT },
  { name: "EPCIS document", format: "epcis", mediaType: "application/ld+json", text: EPCIS_DOCUMENT },
  { name: "EPCIS XML", format: "epcis", mediaType: "application/xml", text: EPCIS_XML },
  { name: "ODM file", format: "odm", mediaType: "application/xml", text: ODM },
  { name: "ODM record", format: "odm", mediaType: "application/vnd.kedge.odm-record", text: ODM_RECORD },
  { name: "CloudEvent", format: "cloudevents", mediaType: "application/cloudevents+json", text: CLOUD_EVENT },
  {
    name: "CloudEvent with FHIR",
    format: "cloudevents",
    mediaType: "application/json",
    text: CLOUD_EVENT_FHIR,
  },
  { name: "CloudTrail", format: "cloudtrail", mediaType: "application/json", text: CLOUDTRAIL },
  {
    name: "CloudTrail file",
    format: "cloudtrail",
    mediaType: "application/json",
    text: `{"Records":[${CLOUDTRAIL},${CLOUDTRAIL}]}`,
  },
  { name: "OCSF", format: "ocsf", mediaType: "application/json", text: OCSF },
  { name: "Epic row", format: "delimited", mediaType: "text/csv", text: EPIC_ROW },
  { name: "a gap", format: "gap", mediaType: GAP_MEDIA_TYPE, text: GAP },
  {
    name: "a line",
    format: "bytes",
    mediaType: "text/plain",
    text: "Mar 14 10:32:07 host sshd[1]: session opened",
  },
];
