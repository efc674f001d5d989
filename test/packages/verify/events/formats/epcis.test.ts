import { epcis } from "@kedge/verify/events/formats/epcis";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { expect, test } from "vitest";
import { EPCIS_DOCUMENT, EPCIS_EVENT, EPCIS_XML } from "../../../../support/event-samples.ts";

const read = (text: string) => epcis.read(utf8ToBytes(text));
const split = (text: string) =>
  epcis
    .split?.(utf8ToBytes(text))
    .map(({ bytes, mediaType }) => ({ text: new TextDecoder().decode(bytes), mediaType }));

test("an event: what moved, as it is written and as it is printed on the box", () => {
  expect(read(EPCIS_EVENT)).toEqual({
    when: "2026-03-14T10:32:07+01:00",
    action: "shipping: OBSERVE",
    recordType: "ObjectEvent",
    workstation: "urn:epc:id:sgln:0614141.07346.1234",
    outcome: "in_transit",
    source: "urn:epc:id:sgln:0614141.07346.0",
    subjects: [
      "urn:epc:id:sgtin:0614141.107346.2017",
      "10614141073464",
      "2017",
      "https://id.gs1.org/01/10614141073464/10/LOT%2F7/21/99",
      "LOT/7",
      "99",
      "urn:epc:class:lgtin:4012345.012345.L9",
      "04012345123456",
      "L9",
    ],
  });
});

test("a document is cut into its events as they stand in it; taken whole it has the first one's columns", () => {
  expect(split(EPCIS_DOCUMENT)).toEqual([
    { text: EPCIS_EVENT, mediaType: "application/ld+json" },
    {
      text: '{"type":"AggregationEvent","eventTime":"2026-03-14T11:00:00Z","parentID":"urn:epc:id:sscc:0614141.1234567890","childEPCs":[]}',
      mediaType: "application/ld+json",
    },
  ]);
  expect(read(EPCIS_DOCUMENT)).toMatchObject({ when: "2026-03-14T10:32:07+01:00" });
  expect(read(EPCIS_DOCUMENT).subjects).toContain("106141412345678908");
  expect(split(EPCIS_EVENT)).toEqual([{ text: EPCIS_EVENT, mediaType: "application/ld+json" }]);
});

test("XML too, its extensions with prefixes that only the document declares", () => {
  const slices = split(EPCIS_XML) ?? [];
  expect(slices.map(({ mediaType }) => mediaType)).toEqual(Array(2).fill("application/xml"));
  for (const { text } of slices) expect(EPCIS_XML).toContain(text);
  expect(slices[0]?.text).toMatch(/^<ObjectEvent>.*<ex:note ex:kind="ü">x<\/ex:note><\/ObjectEvent>$/);
  expect(read(slices[0]?.text ?? "")).toEqual({
    when: "2026-03-14T10:32:07Z",
    action: "commissioning: ADD",
    recordType: "ObjectEvent",
    workstation: "urn:epc:id:sgln:0614141.07346.1234",
    subjects: ["urn:epc:id:sgtin:0614141.107346.2017", "10614141073464", "2017"],
  });
  expect(read(slices[1]?.text ?? "")).toEqual({
    when: "2026-03-14T10:33:00Z",
    recordType: "TransformationEvent",
  });
});

test("an array of events is cut into them", () => {
  const events = ['{"type":"ObjectEvent","eventTime":"a"}', '{"type":"ObjectEvent","eventTime":"b"}'];
  expect(split(`[${events.join(" ,\n")}]`)?.map(({ text }) => text)).toEqual(events);
});

test("an error declaration is the reason", () => {
  const event =
    '{"type":"ObjectEvent","eventTime":"x","errorDeclaration":{"reason":"urn:epcglobal:cbv:er:incorrect_data"}}';
  expect(read(event)).toMatchObject({ reason: { code: "incorrect_data" } });
});

test.each([
  ["other JSON", '{"type":"Thing"}', /line 1, column 1: no EPCIS event or document/],
  ["other XML", "<a/>", /line 1, column 1: no EPCIS event or document/],
])("refused: %s", (_what, text, words) => {
  expect(() => read(text)).toThrow(words);
});

test("an event that is no object is refused", () => {
  expect(() => split('{"type":"EPCISDocument","epcisBody":{"eventList":[7]}}')).toThrow(/no object/);
});
