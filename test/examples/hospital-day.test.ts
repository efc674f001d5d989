import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { canonicalise } from "@kedge/verify/events/canonical";
import { commitEvent } from "@kedge/verify/events/commitment";
import { mediaTypeOf } from "@kedge/verify/events/media";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hospitalDay } from "../../examples/hospital-day/generate.ts";

/** What R4 requires of an AuditEvent (https://hl7.org/fhir/R4/auditevent.html), and what the tests look at besides. */
type Coding = { system: string; code: string };
type AuditEvent = {
  resourceType: string;
  id: string;
  meta: { profile?: string[]; security: Coding[] };
  type: Coding;
  subtype: Coding[];
  action: string;
  recorded: string;
  outcome: string;
  purposeOfEvent?: { coding: Coding[] }[];
  agent: {
    type: { coding: Coding[] };
    who: object;
    requestor: boolean;
    network?: { address: string; type: string };
  }[];
  source: { observer: { reference: string } };
  entity?: {
    type: Coding;
    role?: Coding;
    what?: { reference?: string; identifier?: object };
    query?: string;
  }[];
};

const seeds = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const date = "2026-03-02";
const textOf = ({ on = date, ...options }: { seed: number; events?: number; on?: string }): string =>
  JSON.stringify([...hospitalDay({ date: on, ...options })].map(({ resource }) => resource));
const day = (options: { seed: number; events?: number }): AuditEvent[] => JSON.parse(textOf(options));
const codes = (codings: Coding[]) => codings.map(({ system, code }) => `${system.split("/").at(-1)}#${code}`);

describe("a day", () => {
  test("is the same for the same seed, to the byte, and another for another seed or date", () => {
    fc.assert(
      fc.property(seeds, seeds, (seed, other) => {
        fc.pre(seed !== other);
        expect(textOf({ seed, events: 60 })).toBe(textOf({ seed, events: 60 }));
        expect(textOf({ seed: other, events: 60 })).not.toBe(textOf({ seed, events: 60 }));
      }),
      { numRuns: 20 },
    );
    const [monday, tuesday] = [date, "2026-03-03"].map((on) => textOf({ seed: 1, on }));
    expect(tuesday).not.toBe(monday);
    expect(tuesday).toBe(monday?.replaceAll(date, "2026-03-03"));
  });

  test("has as many events as asked for, 500 if not, on the day asked for, ordered by the time recorded", () => {
    fc.assert(
      fc.property(seeds, fc.nat(200), (seed, events) => {
        const recorded = day({ seed, events }).map((event) => event.recorded);
        expect(recorded).toHaveLength(events);
        expect(recorded).toEqual([...recorded].sort());
        for (const instant of recorded) expect(instant).toMatch(/^2026-03-02T\d{2}:\d{2}:\d{2}\.\d{3}Z$/);
      }),
      { numRuns: 20 },
    );
    expect(day({ seed: 1 })).toHaveLength(500);
  });

  test("numbers the events of each source from 1 without a gap", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const next = new Map<string, bigint>();
        for (const { source, sequence } of hospitalDay({ seed, date })) {
          expect(sequence).toBe(next.get(source) ?? 1n);
          next.set(source, sequence + 1n);
        }
        expect(next.size).toBe(5);
      }),
      { numRuns: 10 },
    );
  });

  test("gives no commitment twice, with or without source and sequence, and every event can be canonicalised", () => {
    const tenantKey = new Uint8Array(32).fill(1);
    const commitments = new Set<string>();
    for (const { source, sequence, resource } of hospitalDay({ seed: 3, date })) {
      const bytes = new TextEncoder().encode(JSON.stringify(resource));
      const mediaType = mediaTypeOf("event.json", bytes);
      expect(mediaType).toBe("application/fhir+json");
      expect(JSON.parse(new TextDecoder().decode(canonicalise("jcs", bytes)))).toEqual(resource);
      for (const event of [
        { bytes, mediaType },
        { bytes, mediaType, source, sequence },
      ]) {
        commitments.add(commitEvent(event, { tenantKey }).commitment.join());
      }
    }
    expect(commitments.size).toBe(1000);
  });

  test("peaks by day, is quiet at night, and has sign-ins, refusals and broken glass", () => {
    const events = [1, 2, 3, 4].flatMap((seed) => day({ seed, events: 1000 }));
    const between = (from: number, to: number) =>
      events.filter(
        ({ recorded }) => Number(recorded.slice(11, 13)) >= from && Number(recorded.slice(11, 13)) < to,
      ).length;
    expect(between(8, 12)).toBeGreaterThan(4 * between(0, 4));
    const count = (code: string) =>
      events.filter((event) => JSON.stringify(event).includes(`"code":"${code}"`)).length;
    expect(count("110122")).toBeGreaterThan(count("110123"));
    expect(count("110123")).toBeGreaterThan(0);
    expect(count("BTG")).toBeGreaterThan(0);
    expect(count("BTG")).toBeLessThan(events.length / 20);
    expect(events.some((event) => event.type.code === "rest" && event.outcome === "4")).toBe(true);
  });

  test("has nobody work before they signed in, or after they signed out", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const signedIn = new Set<string>();
        for (const event of day({ seed })) {
          const user = JSON.stringify(event.agent.find(({ requestor }) => requestor)?.who);
          const [subtype] = event.subtype;
          if (subtype?.code === "110122" && event.outcome === "0") signedIn.add(user);
          if (subtype?.code !== "110122") expect(signedIn).toContain(user);
          if (subtype?.code === "110123") signedIn.delete(user);
        }
      }),
      { numRuns: 10 },
    );
  });

  test.each([
    [{ seed: 1, date: "2026-02-30" }],
    [{ seed: 1, date: "2026-3-2" }],
    [{ seed: 1, date: "" }],
    [{ seed: 1, date: "2026-03-02T00:00" }],
    [{ seed: 1.5, date }],
    [{ seed: Number.NaN, date }],
    [{ seed: 1, date, events: -1 }],
    [{ seed: 1, date, events: 0.5 }],
  ])("%j is refused at once", (options) => {
    expect(() => hospitalDay(options)).toThrow(RangeError);
  });
});

describe("an event", () => {
  const events = [1, 2, 3, 4, 5].flatMap((seed) => day({ seed, events: 1000 }));

  test("has what FHIR R4 requires of an AuditEvent, with codes of its required value sets", () => {
    for (const event of events) {
      expect(event.resourceType).toBe("AuditEvent");
      expect(event.id).toMatch(/^[A-Za-z0-9.-]{1,64}$/);
      expect(event.type.code).not.toBe("");
      expect(event.action).toMatch(/^[CRUDE]$/);
      expect(event.outcome).toMatch(/^(0|4|8|12)$/);
      expect(event.agent.filter(({ requestor }) => requestor === true)).toHaveLength(1);
      expect(event.agent.filter(({ requestor }) => requestor === false).length).toBe(event.agent.length - 1);
      for (const { network } of event.agent) if (network) expect(network.type).toMatch(/^[1-5]$/);
      expect(event.source.observer.reference).toMatch(/^Device\/./);
    }
  });

  test("is marked as test data and names nobody real", () => {
    for (const event of events) {
      expect(codes(event.meta.security)).toEqual(["v3-ActReason#HTEST"]);
      const text = JSON.stringify(event);
      for (const [, id] of text.matchAll(/"(?:Patient|Practitioner)\/([^"]*)"/g))
        expect(id).toMatch(/^syn-\d+$/);
      for (const [, name] of text.matchAll(/"name":"([^"]*)"/g)) expect(name).toMatch(/^Synthetic /);
      for (const [, host] of text.matchAll(/https:\/\/([^/"]*)/g))
        expect(host).toMatch(/\.example$|^profiles\.ihe\.net$/);
    }
  });

  // From the profiles' constraints on type, subtype, action, agents and entities: https://profiles.ihe.net/ITI/BALP
  const [source, destination] = ["DCM#110153", "DCM#110152"];
  const recipient = "v3-ParticipationType#IRCP";
  const author = "v3-ParticipationType#AUT";
  const balp: Record<string, { subtypes: string[]; action: string; agents: string[] }> = {
    Read: { subtypes: ["read", "vread"], action: "R", agents: [destination, source, recipient] },
    Query: { subtypes: ["search-type"], action: "E", agents: [source, destination, recipient] },
    Create: { subtypes: ["create"], action: "C", agents: [source, destination, author] },
    Update: { subtypes: ["update", "patch"], action: "U", agents: [source, destination, author] },
    Delete: {
      subtypes: ["delete"],
      action: "D",
      agents: ["DCM#110150", "provenance-participant-type#custodian", author],
    },
  };

  test("keeps to the BALP profile that it claims: client, server, user, patient, data or query, request id", () => {
    const seen = new Set<string>();
    for (const event of events) {
      const [url] = event.meta.profile ?? [];
      if (url === undefined) continue;
      const prefix = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.";
      expect(url.startsWith(prefix)).toBe(true);
      const name = url.slice(prefix.length);
      seen.add(name);
      const profile = balp[name.replace("Patient", "")];

      expect(codes([event.type])).toEqual(["audit-event-type#rest"]);
      expect(profile?.subtypes).toContain(event.subtype[0]?.code);
      expect(event.action).toBe(profile?.action);
      expect(event.outcome).toBe("0");
      expect(event.agent.flatMap(({ type }) => codes(type.coding))).toEqual(profile?.agents);
      expect(event.agent.map(({ network }) => network !== undefined)).toEqual([true, true, false]);

      const entities = event.entity ?? [];
      const patients = entities.filter(({ type }) => type.code === "1");
      expect(patients).toHaveLength(name.startsWith("Patient") ? 1 : 0);
      for (const { role, what } of patients) {
        expect(role?.code).toBe("1");
        expect(what?.reference).toMatch(/^Patient\//);
      }
      const objects = entities.filter(({ type }) => type.code === "2");
      expect(objects).toHaveLength(1);
      for (const { role, what, query } of objects) {
        const isQuery = name.endsWith("Query");
        expect(role?.code).toBe(isQuery ? "24" : "4");
        expect(what === undefined).toBe(isQuery);
        if (query !== undefined)
          expect(atob(query)).toMatch(/^GET https:\/\/[a-z-]+\.hospital\.example\/fhir\/[A-Z]/);
        expect(query !== undefined).toBe(isQuery);
      }
      const requests = entities.filter(({ type }) => type.code === "XrequestId");
      expect(requests).toHaveLength(1);
      expect(JSON.stringify(requests[0]?.what)).toMatch(
        /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/,
      );
    }
    expect([...seen].sort()).toEqual(
      Object.keys(balp)
        .flatMap((name) => [name, `Patient${name}`])
        .sort(),
    );
  });

  test("that was refused claims no profile", () => {
    const refused = events.filter(({ outcome }) => outcome !== "0");
    expect(refused.length).toBeGreaterThan(0);
    for (const event of refused) expect(event.meta.profile).toBeUndefined();
  });
});

test("the script writes the day's resources, one a line", async () => {
  const script = fileURLToPath(new URL("../../dist/examples/hospital-day/main.js", import.meta.url));
  const args = [script, "--seed", "7", "--date", date, "--events", "40"];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const resources = [...hospitalDay({ seed: 7, date, events: 40 })].map(
    ({ resource }) => `${JSON.stringify(resource)}\n`,
  );
  expect(stdout).toBe(resources.join(""));
});
