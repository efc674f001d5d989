/** What a failure says: altered or not of one another, converted and how, or that nothing can be told. */
import { commitEvent, type EventInput } from "@kedge/verify/events/commitment";
import { statedTime } from "@kedge/verify/events/stated";
import { kindOf, verifyEvent } from "@kedge/verify/proof/verify";
import { tellReport } from "@kedge/verify/proof/words";
import { formatVkey } from "@kedge/verify/tlog/note";
import { parsePolicy } from "@kedge/verify/tlog/policy";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ANCHOR_ORIGIN,
  anchor,
  anchorMldsa,
  EVENT,
  log,
  makeProof,
  TENANT_KEY,
  WITNESS_TIME,
  witness1,
  witnessSigner,
} from "../../../support/proofs.ts";

const pinned = { logVkeys: [log.vkey], anchorVkeys: [anchor.vkey, anchorMldsa.vkey] };
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const utf16 = (text: string): Uint8Array => new Uint8Array(Buffer.from(`\ufeff${text}`, "utf16le"));
const pretty = '{\n  "resourceType": "AuditEvent",\n  "action": "R"\n}\n';

/** The failure when `given` is shown in place of the event that was committed to. */
function shown(committed: string, given: Uint8Array, more: Partial<EventInput> = {}) {
  const { proof } = makeProof({ event: { ...EVENT, ...more, bytes: utf8(committed) } });
  return verifyEvent({ ...pinned, proof, event: given });
}

describe("an event that was only converted is not proven, and how it was converted is said", () => {
  test.each<[string, string, Uint8Array, RegExp]>([
    ["LF became CRLF", pretty, utf8(pretty.replaceAll("\n", "\r\n")), /line ending LF in place of CRLF/],
    ["CRLF became LF", pretty.replaceAll("\n", "\r\n"), utf8(pretty), /line ending CRLF in place of LF/],
    ["a final newline was added", "{}", utf8("{}\n"), /without the newline at its end/],
    ["a final CRLF was added", "{}", utf8("{}\r\n"), /without the newline at its end/],
    ["the final newline was removed", pretty, utf8(pretty.trimEnd()), /with a newline \(LF\) at its end/],
    ["the CR of a raw line was removed", "{}\r", utf8("{}"), /with a CR at its end/],
    ["a byte order mark was added", pretty, utf8(`\ufeff${pretty}`), /without the byte order mark/],
    ["the byte order mark was removed", `\ufeff${pretty}`, utf8(pretty), /with a byte order mark/],
    ["it was saved as UTF-16", pretty, utf16(pretty), /UTF-8 in place of UTF-16/],
    [
      "UTF-16 with CRLF",
      pretty,
      utf16(pretty.replaceAll("\n", "\r\n")),
      /UTF-16, and with the line ending LF/,
    ],
    [
      "JSON was indented",
      '{"a":[1,2]}',
      utf8('{\n    "a": [\n        1,\n        2\n    ]\n}'),
      /JSON without white space/,
    ],
    [
      "JSON was made compact",
      pretty,
      utf8('{"resourceType":"AuditEvent","action":"R"}'),
      /JSON with indented lines/,
    ],
  ])("%s", (_, committed, given, how) => {
    const report = shown(committed, given);
    expect(report).toMatchObject({ proven: false, failure: { step: "log", code: "converted" } });
    expect(tellReport(report)).toMatchObject({ headline: "NOT PROVEN", failure: { kind: "converted" } });
    expect(tellReport(report).failure?.message).toMatch(how);
    expect(shown(committed, utf8(committed)).proven).toBe(true);
  });

  test("with an opening derived from the tenant key as well", () => {
    const { proof } = makeProof({ withOpening: false });
    const event = utf8(`${new TextDecoder().decode(EVENT.bytes)}\r\n`);
    const derive = (bytes: Uint8Array) => commitEvent({ ...EVENT, bytes }, { tenantKey: TENANT_KEY }).opening;
    const report = verifyEvent({
      ...pinned,
      proof,
      event,
      derivedOpening: derive(event),
      deriveOpening: derive,
    });
    expect(report.failure).toMatchObject({ code: "converted", conversions: ["without_final_newline"] });
  });

  test("a byte order mark on JSON that was canonicalised too", () => {
    const report = shown('{"a":1}', utf8('\ufeff{"a":1}'), { canonicalisation: "jcs" });
    expect(report.failure).toMatchObject({ code: "converted", conversions: ["without_bom"] });
  });

  test.each([
    ["a member twice", '{"user":"a","action":"R"}', '{"user":"b","action":"D","user":"a","action":"R"}'],
    ["a number of too many digits", '{"n":9007199254740992}', '{"n":9007199254740993}'],
    ["a number beyond all", '{"n":null}', '{"n":1e999}'],
    ["an escape", '{"n":"é"}', '{"n":"\\u00e9"}'],
  ])("%s is no white space: it is altered, not converted", (_, committed, given) => {
    expect(shown(committed, utf8(given)).failure).toMatchObject({ step: "log", code: "bad_proof" });
  });

  test("no change of a value is called a conversion, and the event itself always is the event", () => {
    const texts = fc.string({
      unit: fc.constantFrom("a", "\r", "\n", "\ufeff", "{", "}", " "),
      maxLength: 12,
    });
    fc.assert(
      fc.property(texts, texts, (committed, given) => {
        const report = shown(committed, utf8(given));
        expect(report.proven).toBe(committed === given);
        const bare = (text: string) => text.replace(/[\r\n\ufeff ]/g, "");
        if (bare(committed) !== bare(given)) expect(report.failure?.code).toBe("bad_proof");
      }),
      { numRuns: 50 },
    );
  });

  test("one changed character is altered or another event, whatever else was converted", () => {
    const report = shown(pretty, utf8(pretty.replace('"R"', '"C"').replaceAll("\n", "\r\n")));
    expect(report.failure).toMatchObject({ step: "log", code: "bad_proof", opening: "proof" });
    expect(tellReport(report).failure).toMatchObject({
      kind: "refuted",
      message: expect.stringMatching(/altered, or they do not belong together/),
    });
  });
});

describe("a proof that was only converted is not proven, and how it was converted is said", () => {
  const { proof } = makeProof({ anchorSigners: [anchor, anchorMldsa] });
  const given = (bytes: Uint8Array) => verifyEvent({ ...pinned, proof: bytes, event: EVENT.bytes });

  test.each<[string, Uint8Array, string[]]>([
    ["CRLF", utf8(proof.replaceAll("\n", "\r\n")), ["lf"]],
    ["its last newline trimmed", utf8(proof.trimEnd()), ["with_final_lf"]],
    ["a byte order mark", utf8(`\ufeff${proof}`), ["without_bom"]],
    ["both", utf8(`\ufeff${proof.replaceAll("\n", "\r\n")}`), ["without_bom", "lf"]],
    ["UTF-16", utf16(proof), ["to_utf8"]],
    ["an empty line after it", utf8(`${proof}\n`), ["without_space_around"]],
  ])("%s", (_, bytes, conversions) => {
    const report = given(bytes);
    expect(report.failure).toEqual({ step: "proof", code: "converted", conversions });
    expect(tellReport(report).failure?.message).toMatch(
      /proof file was converted .* nothing else was changed/,
    );
  });

  test("of another event it is still of another event", () => {
    const report = verifyEvent({
      ...pinned,
      proof: utf8(proof.replaceAll("\n", "\r\n")),
      event: utf8("{}"),
    });
    expect(report.failure).toMatchObject({ step: "log", code: "bad_proof" });
  });

  test.each<[string, Uint8Array]>([
    ["an empty file", new Uint8Array()],
    ["half of it", utf8(proof.slice(0, proof.length / 2))],
    ["an event", EVENT.bytes],
  ])("of %s nothing can be told", (_, bytes) => {
    expect(tellReport(given(bytes))).toMatchObject({ headline: "CANNOT TELL", failure: { kind: "untold" } });
  });
});

test("an event's own time is looked for in one pass, whatever stands around it", () => {
  const event = `<AuditMessage><DateTimeStamp>${" ".repeat(60_000)}</AuditMessage>`;
  expect(statedTime(utf8(event))).toBeUndefined();
  expect(statedTime(utf8("<a><DateTimeStamp> 2026-01-01T00:00:00Z\n</DateTimeStamp></a>"))?.member).toBe(
    "DateTimeStamp",
  );
});

test("what is missing is told from what was altered", () => {
  const bare = makeProof({ withOpening: false });
  const { failure } = verifyEvent({ ...pinned, proof: bare.proof, event: EVENT.bytes });
  expect(failure && kindOf(failure)).toBe("untold");
  const other = verifyEvent({
    ...pinned,
    logVkeys: [anchor.vkey],
    proof: bare.proof,
    commitment: bare.commitment,
  });
  expect(other.failure && kindOf(other.failure)).toBe("untold");
  const low = verifyEvent({ ...pinned, proof: bare.proof, commitment: bare.commitment, require: "anchored" });
  expect(low.failure && kindOf(low.failure)).toBe("insufficient");
});

describe("what a lawyer reads", () => {
  const witnessed = (signer = witness1) => {
    const policy = parsePolicy(
      `log ${formatVkey(anchor.vkey)}\nwitness w1 ${formatVkey(signer.vkey)}\nquorum w1\n`,
    );
    const { proof } = makeProof({ anchorSigners: [anchor, anchorMldsa, signer] });
    return tellReport(verifyEvent({ ...pinned, policy, proof, event: EVENT.bytes }));
  };

  test("the headline says what was not checked", () => {
    const { proof, commitment } = makeProof({ anchorSigners: [anchor, anchorMldsa, witness1] });
    const headline = (more: object) =>
      tellReport(verifyEvent({ ...pinned, proof, event: EVENT.bytes, ...more })).headline;
    expect(headline({ anchorVkeys: [] })).toBe(
      "PROVEN  at assurance sealed (anchor log, witnesses and timestamps not checked)",
    );
    expect(headline({})).toBe("PROVEN  at assurance anchored (witnesses not checked)");
    expect(headline({ proof: makeProof({}).proof })).toBe("PROVEN  at assurance sealed (not anchored)");
    const bare = verifyEvent({ ...pinned, proof, commitment });
    expect(tellReport(bare).headline).toContain("no event given");
    expect(witnessed().headline).toBe("PROVEN  at assurance witnessed");
  });

  test("one witness is called one, and whose it is nobody's word but the reader's", () => {
    const { statements, caveats } = witnessed();
    expect(statements.join("\n")).toContain("1 of the 1 witness in it");
    expect(caveats.join("\n")).toMatch(/w1 is independent of the operator: the policy is your own word/);
    expect(caveats.join("\n")).not.toMatch(/operator's own domain/);
  });

  test("a witness under the operator's domain is named", () => {
    const own = witnessSigner(`${ANCHOR_ORIGIN.split("/")[0]}/witness`, 6, WITNESS_TIME);
    expect(witnessed(own).caveats.join("\n")).toMatch(/Named under the operator's own domain: w1\./);
  });

  test("the event's own time stands beside the time that is shown, and as its own word", () => {
    const told = (recorded: string) => {
      const event = { ...EVENT, bytes: utf8(JSON.stringify({ recorded })) };
      const { proof } = makeProof({ event, anchorSigners: [anchor, anchorMldsa] });
      return tellReport(verifyEvent({ ...pinned, proof, event: event.bytes })).statements.slice(-2);
    };
    // OPERATOR_TIME is 2026-02-25T06:13:20Z.
    expect(told("2025-11-25T06:13:20Z")).toEqual([
      expect.stringMatching(/^It was in the log by 2026-02-25T06:13:20.000Z, by the operator's own clock/),
      expect.stringMatching(
        /^The event itself says 2025-11-25T06:13:20Z \(recorded\), .* 92 days before, and of the time between nothing/,
      ),
    ]);
    expect(told("2026-02-25T06:00:00Z")[1]).toMatch(/which is its own word\.$/);
    expect(told("2027-01-01T00:00:00Z")[1]).toMatch(/later than the log's/);
  });

  test("no sentence says that something existed, that none could be missed, or that nothing was left out", () => {
    const all = JSON.stringify([witnessed(), tellReport(shown("{}", utf8("{}")))]);
    expect(all).not.toMatch(/existed|could be missed|has changed since/);
  });

  test("jcs is said to cover values, and not how numbers are written", () => {
    const report = shown('{"a":1.10}', utf8('{"a":1.1}'), { canonicalisation: "jcs" });
    expect(tellReport(report).statements.join("\n")).toMatch(/Not compared: .*1\.10 is 1\.1/);
  });
});

test.each<[string, string | undefined]>([
  [
    '{"resourceType":"AuditEvent","recorded":"2026-03-02T08:00:00.123+01:00"}',
    "2026-03-02T08:00:00.123+01:00",
  ],
  ['{"specversion":"1.0","time":"2026-03-02T08:00:00Z"}', "2026-03-02T08:00:00Z"],
  ['{"type":"ObjectEvent","eventTime":"2026-03-02T08:00:00Z"}', "2026-03-02T08:00:00Z"],
  [
    '<AuditEvent xmlns="http://hl7.org/fhir"><recorded value="2026-03-02T08:00:00Z"/></AuditEvent>',
    "2026-03-02T08:00:00Z",
  ],
  ['<AuditMessage><EventIdentification EventDateTime="2026-03-02T08:00:00">', "2026-03-02T08:00:00"],
  ["<AuditRecord><DateTimeStamp>2026-03-02T08:00:00</DateTimeStamp></AuditRecord>", "2026-03-02T08:00:00"],
  ['{"recorded":"yesterday. It was in the log by 2019"}', undefined],
  ['{"nested":{"recorded":"2026-03-02T08:00:00Z"}}', undefined],
  ["[]", undefined],
  ["\u0000\u0001", undefined],
])("the time that %s states", (event, at) => {
  expect(statedTime(utf8(event))?.at).toBe(at);
});
