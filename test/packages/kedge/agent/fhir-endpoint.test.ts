import { gzipSync } from "node:zlib";
import { createFhirApp, type Endpoint } from "@kedge/cli/agent/fhir-endpoint";
import { GAP_MEDIA_TYPE } from "@kedge/verify/events/gap";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memoryHost } from "./memory-host.ts";

function endpoint(options: Partial<Endpoint> = {}) {
  const host = memoryHost({ signal: new AbortController().signal });
  const troubles: unknown[] = [];
  const app = createFhirApp({
    intake: host.intake,
    path: "",
    mayEnter: () => true,
    isOpen: true,
    limits: { event: 4096, bundle: 65_536 },
    refuse: true,
    room: { free: 1 << 20 },
    count: () => undefined,
    trouble: (cause) => troubles.push(cause),
    ...options,
  });
  const send = (
    method: string,
    path: string,
    body?: string | Uint8Array,
    headers: Record<string, string> = {},
  ) =>
    app.request(`http://127.0.0.1:8090${path}`, {
      method,
      headers: { "content-type": "application/fhir+json", ...headers },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : new Uint8Array(body) }),
    });
  const post = (path: string, body: string | Uint8Array, headers?: Record<string, string>) =>
    send("POST", path, body, headers);
  const { arrivals: taken, takings } = host;
  const texts = () => taken.map(({ bytes }) => new TextDecoder().decode(bytes));
  return { host, taken, takings, texts, app, send, post, troubles };
}

/** Odd white space and order of members: what is committed has to have them too. */
const EVENT = `{ "recorded":"2026-03-14T10:32:00Z",\n\t"resourceType" : "AuditEvent" , "action":"R"}`;
const XML_EVENT = `<AuditEvent xmlns="http://hl7.org/fhir"><recorded value="2026-03-14T10:32:00Z"/></AuditEvent>`;
const entryOf = (resource: string, request = `{"method":"POST","url":"AuditEvent"}`) =>
  `{"request":${request},"resource":${resource}}`;
const bundleOf = (type: string, ...entries: string[]) =>
  `{"resourceType":"Bundle","type":"${type}","entry":[${entries.join(" ,\n")}]}`;

const outcomeWith = (code: string, diagnostics: unknown = expect.any(String)) => ({
  resourceType: "OperationOutcome",
  issue: [{ severity: "error", code, diagnostics }],
});
const gaps = (taken: readonly { mediaType: string; bytes: Uint8Array }[]) =>
  taken
    .filter(({ mediaType }) => mediaType === GAP_MEDIA_TYPE)
    .map(({ bytes }): unknown => JSON.parse(new TextDecoder().decode(bytes)));

describe("a resource", () => {
  test("is committed as its body came, and its sender is told where it is", async () => {
    const { post, texts, taken } = endpoint();
    const response = await post("/AuditEvent", EVENT);
    expect(response.status).toBe(201);
    expect(response.headers.get("location")).toBe("http://127.0.0.1:8090/AuditEvent/1/_history/1");
    expect(response.headers.get("etag")).toBe('W/"1"');
    expect(await response.text()).toBe("");
    expect(texts()).toEqual([EVENT]);
    expect(taken[0]).not.toHaveProperty("notes");
    expect(taken[0]?.mediaType).toBe("application/fhir+json");
  });

  test("may be of any type, in JSON by any of its names, and in XML", async () => {
    const { post, texts, taken } = endpoint();
    const provenance = `{"resourceType":"Provenance"}`;
    for (const type of [
      "application/json",
      "application/fhir+json; fhirVersion=4.0",
      "text/json;charset=UTF-8",
    ]) {
      expect((await post("/Provenance", provenance, { "content-type": type })).status).toBe(201);
    }
    for (const type of ["application/fhir+xml", "application/xml", "text/xml; charset=utf-8"]) {
      const response = await post("/AuditEvent", XML_EVENT, { "content-type": type });
      expect(response.status).toBe(201);
    }
    expect(texts()).toEqual([provenance, provenance, provenance, XML_EVENT, XML_EVENT, XML_EVENT]);
    expect(new Set(taken.map(({ mediaType }) => mediaType))).toEqual(
      new Set(["application/fhir+json", "application/fhir+xml"]),
    );
  });

  test("comes back as it was sent, or as an outcome, where that is preferred", async () => {
    const { post } = endpoint();
    const echoed = await post("/AuditEvent", EVENT, { prefer: "return=representation" });
    expect([echoed.status, echoed.headers.get("content-type")]).toEqual([201, "application/fhir+json"]);
    expect(await echoed.text()).toBe(EVENT);
    const told = await post("/AuditEvent", EVENT, { prefer: "return=OperationOutcome" });
    expect(await told.json()).toMatchObject({ issue: [{ severity: "information" }] });
    const minimal = await post("/AuditEvent", EVENT, { prefer: "return=minimal" });
    expect(await minimal.text()).toBe("");
  });

  test("that a server sends to a subscriber by PUT is a version of it", async () => {
    const { send, texts } = endpoint();
    const event = `{"resourceType":"AuditEvent","id":"a-1"}`;
    for (const version of [1, 2]) {
      const response = await send("PUT", "/AuditEvent/a-1", event);
      expect(response.status).toBe(201);
      expect(response.headers.get("location")).toMatch(new RegExp(`/AuditEvent/a-1/_history/${version}$`));
    }
    expect(texts()).toEqual([event, event]);
  });

  test("is not told of before it is in the journal", async () => {
    const { post, host, taken } = endpoint();
    let write = (): void => undefined;
    host.gate = new Promise<void>((resolve) => {
      write = resolve;
    });
    let isAnswered = false;
    const answered = Promise.resolve(post("/AuditEvent", EVENT)).then((response) => {
      isAnswered = true;
      return response;
    });
    await new Promise(setImmediate);
    expect(isAnswered).toBe(false);
    write();
    expect((await answered).status).toBe(201);
    expect(taken).toHaveLength(1);
  });

  test("that the journal does not take is refused, to be sent again", async () => {
    const { post, host, troubles } = endpoint();
    host.failing = 1;
    const response = await post("/AuditEvent", EVENT);
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toMatch(/^[0-9]+$/);
    expect(await response.json()).toEqual(outcomeWith("transient"));
    expect(troubles).toEqual([
      expect.objectContaining({ message: expect.stringContaining("room on its disk") }),
    ]);
    expect((await post("/AuditEvent", EVENT)).status).toBe(201);
    expect(troubles.at(-1)).toBeUndefined();
  });

  test("has a traceparent beside it that is one, and no other text of the sender", async () => {
    const { post, taken } = endpoint();
    const trace = `00-${"a1".repeat(16)}-${"b2".repeat(8)}-01`;
    await post("/AuditEvent", EVENT, { traceparent: trace });
    for (const other of ["Jane Doe", `${trace} Jane`, `00-${"0".repeat(32)}-${"b2".repeat(8)}-01`]) {
      await post("/AuditEvent", EVENT, { traceparent: other });
    }
    expect(taken.map(({ notes }) => notes)).toEqual([
      [`traceparent ${trace}`],
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("in gzip is committed as it was before, within the limit, and with a note", async () => {
    const { post, texts, taken } = endpoint();
    const gzip = { "content-encoding": "gzip" };
    expect((await post("/AuditEvent", gzipSync(EVENT), gzip)).status).toBe(201);
    expect(texts()).toEqual([EVENT]);
    expect(taken[0]?.notes).toEqual(["gzip taken away"]);
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    expect((await post("/Bundle", bomb.subarray(0, 4000), gzip)).status).toBe(413);
    expect((await post("/AuditEvent", EVENT, gzip)).status).toBe(400);
    expect((await post("/AuditEvent", EVENT, { "content-encoding": "br" })).status).toBe(415);
  });
});

describe("HAPI's audit sink", () => {
  // As its client sends: BalpAuditCaptureInterceptor's HTTP sink makes a transaction with BundleBuilder.
  const headers = {
    accept: "application/fhir+json;q=1.0, application/fhir+xml;q=1.0, application/json+fhir;q=0.9",
    "accept-charset": "utf-8",
    "accept-encoding": "gzip",
    "content-type": "application/fhir+json; charset=UTF-8",
    "user-agent": "HAPI-FHIR/7.4.0 (FHIR Client; FHIR 4.0.1/R4; apache)",
  };
  const audit = (id: number) =>
    `{"resourceType":"AuditEvent","action":"R","recorded":"2026-03-14T10:32:0${id}Z"}`;
  const entry = (id: number) =>
    `{"fullUrl":"urn:uuid:2c1d8c1e-0000-4000-8000-00000000000${id}","resource":${audit(id)},"request":{"method":"POST","url":"AuditEvent"}}`;
  const transaction = bundleOf("transaction", entry(1), entry(2));

  test("sends a transaction, and has its answer in JSON", async () => {
    const { post, texts } = endpoint();
    const response = await post("/", transaction, headers);
    expect([response.status, response.headers.get("content-type")]).toEqual([
      200,
      "application/fhir+json; charset=utf-8",
    ]);
    expect(texts()).toEqual([audit(1), audit(2)]);
  });

  test("that is refused while the disk is full creates each by itself, once", async () => {
    const { host, post, texts } = endpoint();
    host.failing = 1;
    expect((await post("/", transaction, headers)).status).toBe(503);
    for (const id of [1, 2]) {
      const created = await post("/AuditEvent", audit(id), { ...headers, prefer: "return=representation" });
      expect([created.status, await created.text()]).toEqual([201, audit(id)]);
    }
    expect(texts()).toEqual([audit(1), audit(2)]);
  });
});

describe("a Bundle", () => {
  test("that is a transaction: each event as it stands in the bytes, in order", async () => {
    const { post, texts, takings } = endpoint();
    const others = `{"resourceType":"AuditEvent", "outcome":"0","entity":[{"name":"a \\"}] text"}]}`;
    const response = await post("/", bundleOf("transaction", entryOf(EVENT), entryOf(others)));
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      resourceType: "Bundle",
      type: "transaction-response",
      entry: [1, 2].map((number) => ({
        response: {
          status: "201 Created",
          location: `AuditEvent/${number}/_history/1`,
          etag: 'W/"1"',
        },
      })),
    });
    expect(texts()).toEqual([EVENT, others]);
    expect(takings).toHaveLength(1);
  });

  test("in XML is answered in XML, its entries without the namespace of its root", async () => {
    const { post, texts } = endpoint();
    const inner = `<AuditEvent><recorded value="2026-03-14T10:32:00Z"/><!-- as it stands --></AuditEvent>`;
    const entry = `<entry><resource>${inner}</resource><request><method value="POST"/><url value="AuditEvent"/></request></entry>`;
    const bundle = `<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/>${entry}${entry}</Bundle>`;
    const response = await post("/", bundle, { "content-type": "application/fhir+xml" });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toMatch("application/fhir+xml");
    const answers = [1, 2].map(
      (number) =>
        `<entry><response><status value="201 Created"/><location value="AuditEvent/${number}/_history/1"/><etag value="W/&#34;1&#34;"/></response></entry>`,
    );
    expect(await response.text()).toBe(
      `<?xml version="1.0" encoding="UTF-8"?><Bundle xmlns="http://hl7.org/fhir"><type value="batch-response"/>${answers.join("")}</Bundle>`,
    );
    expect(texts()).toEqual([inner, inner]);
  });

  test("that is a batch has an answer for each entry, and a gap for a resource that is not taken", async () => {
    const { post, texts, taken } = endpoint();
    const response = await post(
      "/",
      bundleOf(
        "batch",
        entryOf(EVENT),
        entryOf(EVENT, `{"method":"POST","url":"Patient"}`),
        `{"request":{"method":"GET","url":"AuditEvent/1"}}`,
        `{"request":{"method":"POST","url":"AuditEvent"}}`,
        entryOf(`{"resourceType":"AuditEvent","id":"7"}`, `{"method":"PUT","url":"AuditEvent/7"}`),
        entryOf(`{"resourceType":"AuditEvent","outcomeDesc":"${"x".repeat(5000)}"}`),
      ),
    );
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      type: "batch-response",
      entry: [
        { response: { status: "201 Created", location: "AuditEvent/1/_history/1" } },
        { response: { status: "400", outcome: outcomeWith("invalid") } },
        { response: { status: "422", outcome: outcomeWith("processing") } },
        { response: { status: "400", outcome: outcomeWith("invalid") } },
        { response: { status: "201 Created", location: "AuditEvent/7/_history/3" } },
        { response: { status: "413", outcome: outcomeWith("too-long") } },
      ],
    });
    expect(texts()[2]).toBe(`{"resourceType":"AuditEvent","id":"7"}`);
    expect(gaps(taken)).toMatchObject([{ kind: "unreadable", octets: EVENT.length }, { kind: "overlong" }]);
  });

  test("that is a transaction is taken whole or not at all", async () => {
    const { post, taken } = endpoint();
    const wrong = [
      entryOf(EVENT, `{"method":"POST","url":"Patient"}`),
      `{"request":{"method":"DELETE","url":"AuditEvent/1"}}`,
      entryOf(EVENT, `{"method":"PUT","url":"AuditEvent"}`),
      `{"resource":${EVENT}}`,
    ];
    for (const entry of wrong) {
      const response = await post("/", bundleOf("transaction", entryOf(EVENT), entry));
      expect([400, 422]).toContain(response.status);
      expect(await response.json()).toMatchObject({ resourceType: "OperationOutcome" });
    }
    expect(gaps(taken)).toHaveLength(taken.length);
  });

  test("of another type goes to its own address, where it is an event", async () => {
    const { post, texts } = endpoint();
    const collection = bundleOf("collection", `{"resource":${EVENT}}`);
    expect((await post("/", collection)).status).toBe(422);
    expect((await post("/Bundle", collection)).status).toBe(201);
    expect(texts().at(-1)).toBe(collection);
  });

  test("without entries is carried out", async () => {
    const { post, taken } = endpoint();
    const response = await post("/", `{"resourceType":"Bundle","type":"batch"}`);
    expect(await response.json()).toEqual({ resourceType: "Bundle", type: "batch-response" });
    expect(taken).toEqual([]);
  });
});

describe("what cannot be read", () => {
  const unreadable = [
    "",
    "{",
    "[]",
    `{"resourceType":"AuditEvent"} {}`,
    `{"resourceType":"AuditEvent","action":"R","action":"U"}`,
    `{"resourceType":"Patient"}`,
    `${`{"resourceType":"AuditEvent","a":`.repeat(1)}${"[".repeat(2000)}${"]".repeat(2000)}}`,
  ];
  test.each(unreadable)("is refused with an outcome, and leaves a gap: %#", async (body) => {
    const { post, taken } = endpoint();
    const response = await post("/AuditEvent", body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      resourceType: "OperationOutcome",
      issue: [{ severity: "error" }],
    });
    expect(gaps(taken)).toEqual([{ kind: "unreadable", octets: body.length }]);
  });

  test("and is sent again and again is one gap", async () => {
    const { post, taken } = endpoint();
    for (const body of ["{", "{", "[", "{"]) expect((await post("/AuditEvent", body)).status).toBe(400);
    expect(gaps(taken)).toHaveLength(2);
  });

  test("is committed all the same where the source is configured so", async () => {
    const { post, texts } = endpoint({ refuse: false });
    expect((await post("/AuditEvent", "{")).status).toBe(201);
    expect((await post("/", "{")).status).toBe(200);
    expect((await post("/events", "{", { "content-type": "application/cloudevents+json" })).status).toBe(201);
    expect(texts()).toEqual(["{", "{", "{"]);
  });

  test("quotes nothing of the event to anyone", async () => {
    const { post, taken } = endpoint();
    const response = await post(
      "/AuditEvent",
      `{"resourceType":"AuditEvent","name":"Jane Roe","name":"Jane Roe"}`,
    );
    expect(await response.text()).not.toContain("Jane");
    expect(JSON.stringify(gaps(taken))).not.toContain("Jane");
  });
});

describe("every error is an OperationOutcome", () => {
  const cases: [
    method: string,
    path: string,
    body: string | undefined,
    headers: Record<string, string>,
    status: number,
  ][] = [
    ["POST", "/AuditEvent", EVENT, { authorization: "Bearer wrong" }, 401],
    ["POST", "/nothing/of/the/kind", EVENT, {}, 404],
    ["POST", "/auditevent", EVENT, {}, 404],
    ["GET", "/AuditEvent", undefined, {}, 405],
    ["DELETE", "/AuditEvent/1", undefined, {}, 405],
    ["PATCH", "/AuditEvent/1", "[]", {}, 405],
    ["PUT", "/AuditEvent", EVENT, {}, 405],
    ["POST", "/metadata", EVENT, {}, 405],
    ["POST", "/AuditEvent", " ".repeat(5000), {}, 413],
    ["POST", "/AuditEvent", EVENT, { "content-type": "text/plain" }, 415],
    ["POST", "/events", "{}", { "content-type": "application/vnd.kedge.gap+json" }, 415],
    ["POST", "/events", "{}", { "content-type": "Application/VND.kedge.manifest+json; x=y" }, 415],
    ["POST", "/AuditEvent", EVENT, { "content-type": "application/fhir+json; charset=utf-16" }, 415],
    ["POST", "/", `{"resourceType":"Patient"}`, {}, 422],
  ];
  test.each(cases)("%s %s %#", async (method, path, body, headers, status) => {
    const { send } = endpoint({ mayEnter: (given) => given === undefined });
    for (const [wanted, accept] of [
      ["application/fhir+json", "application/fhir+json"],
      ["application/fhir+xml", "application/fhir+xml;q=0.9"],
    ] as const) {
      const response = await send(method, path, body, { ...headers, accept });
      expect(response.status).toBe(status);
      expect(response.headers.get("content-type")).toBe(`${wanted}; charset=utf-8`);
      expect(await response.text()).toMatch(
        /^(\{"resourceType":"OperationOutcome"|<\?xml [^>]*><OperationOutcome )/,
      );
      expect(response.headers.has("allow")).toBe(status === 405);
      expect(response.headers.has("www-authenticate")).toBe(status === 401);
    }
  });

  test("too much at a time is for later, and what was received before is given back", async () => {
    const room = { free: 10_000 };
    const { post, host } = endpoint({ room, limits: { event: 1 << 20, bundle: 1 << 20 } });
    const large = `{"resourceType":"AuditEvent","a":"${"x".repeat(9000)}"}`;
    let write = (): void => undefined;
    host.gate = new Promise<void>((resolve) => {
      write = resolve;
    });
    const first = post("/AuditEvent", large);
    await expect.poll(() => room.free, { timeout: 30_000 }).toBeLessThan(1000);
    const second = await post("/AuditEvent", large);
    expect([second.status, second.headers.has("retry-after")]).toEqual([429, true]);
    write();
    expect((await first).status).toBe(201);
    expect(room.free).toBe(10_000);
  });

  test("a page in a browser sends nothing where no token is asked for", async () => {
    const page = { origin: "https://elsewhere.example", "content-type": "text/plain" };
    const { post, taken } = endpoint();
    expect((await post("/events", "forged", page)).status).toBe(403);
    expect(taken).toEqual([]);
    expect((await endpoint({ isOpen: false }).post("/events", "an event", page)).status).toBe(201);
  });

  test("searches at a time are few", async () => {
    let answerAll = () => {};
    const answered = new Promise<void>((resolve) => {
      answerAll = resolve;
    });
    const search = async () => {
      await answered;
      return new Response();
    };
    const { send } = endpoint({ search });
    const asked = Array.from({ length: 10 }, () => send("GET", "/AuditEvent"));
    answerAll();
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(4);
    expect(statuses.filter((status) => status === 429)).toHaveLength(6);
    expect((await send("GET", "/AuditEvent")).status).toBe(200);
  });

  test.each([
    [
      "XML",
      "/",
      `<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/>${`<entry/>${" ".repeat(40)}`.repeat(9_000)}</Bundle>`,
      "application/fhir+xml",
    ],
    [
      "an XML resource",
      "/AuditEvent",
      `<AuditEvent xmlns="http://hl7.org/fhir">${"<a/>".repeat(40_000)}</AuditEvent>`,
      "application/fhir+xml",
    ],
    ["lines", "/events", `${EVENT.replaceAll("\n", " ")}\n`.repeat(6_000), "application/x-ndjson"],
  ])("a large body of %s gives others their turn while it is read", async (_, path, body, type) => {
    const limits = { event: 1 << 20, bundle: 1 << 20 };
    const { post } = endpoint({ limits, room: { free: 1 << 24 } });
    let turns = 0;
    let isDone = false;
    const count = (): void => {
      turns += 1;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    const { status } = await post(path, body, { "content-type": type });
    isDone = true;
    expect(status).toBeLessThan(300);
    expect(turns).toBeGreaterThan(2);
  });

  test("of a body of very many lines no more are looked at than are taken", async () => {
    const limits = { event: 4096, bundle: 1 << 24 };
    const { post, taken } = endpoint({ limits, room: { free: 1 << 26 } });
    const before = process.memoryUsage().heapUsed;
    const response = await post("/events", "1\n".repeat(4_000_000), {
      "content-type": "application/x-ndjson",
    });
    expect(response.status).toBe(413);
    expect(gaps(taken)).toMatchObject([{ kind: "overlong" }]);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(200 << 20);
  });
});

test("what senders are set up with may have a path, with or without a slash at its end", async () => {
  const { post, send } = endpoint({ path: "/fhir/r4" });
  const created = await post("/fhir/r4/AuditEvent", EVENT);
  expect(created.headers.get("location")).toBe("http://127.0.0.1:8090/fhir/r4/AuditEvent/1/_history/1");
  const bundle = bundleOf("batch", entryOf(EVENT));
  for (const path of ["/fhir/r4", "/fhir/r4/"]) {
    const answer = await post(path, bundle);
    expect(await answer.json()).toMatchObject({ entry: [{ response: { status: "201 Created" } }] });
  }
  expect((await send("GET", "/fhir/r4/metadata")).status).toBe(200);
  expect((await send("DELETE", "/fhir/r4/AuditEvent/1")).status).toBe(405);
  const elsewhere = await post("/AuditEvent", EVENT);
  expect([elsewhere.status, await elsewhere.json()]).toEqual([404, outcomeWith("not-found")]);
});

describe("metadata", () => {
  test("says what is carried out, for R4 and for R5", async () => {
    const { send } = endpoint();
    const r4 = await send("GET", "/metadata");
    expect(await r4.json()).toMatchObject({
      resourceType: "CapabilityStatement",
      fhirVersion: "4.0.1",
      rest: [{ mode: "server", interaction: [{ code: "transaction" }, { code: "batch" }] }],
    });
    const r5 = await send("GET", "/metadata", undefined, { accept: "application/fhir+xml; fhirVersion=5.0" });
    expect(await r5.text()).toContain(`<fhirVersion value="5.0.0"/>`);
  });

  test("a search takes its place when there is one", async () => {
    const { send } = endpoint({ search: async (request) => new Response(new URL(request.url).search) });
    expect(await (await send("GET", "/AuditEvent?patient=1")).text()).toBe("?patient=1");
  });
});

describe("plain POST", () => {
  test("is an event by its media type", async () => {
    const { post, texts, taken } = endpoint();
    const response = await post("/events", "<85>a line", {
      "content-type": "text/plain; charset=iso-8859-1",
    });
    expect(response.status).toBe(201);
    expect(await response.json()).toEqual({ accepted: 1, first: "1", last: "1" });
    expect(texts()).toEqual(["<85>a line"]);
    expect(taken[0]?.mediaType).toBe("text/plain");
  });

  test("of audit XML over HTTP is an event, where its sender has the address alone", async () => {
    const { post, texts, taken } = endpoint();
    const xml = "<AuditMessage><EventIdentification/></AuditMessage>";
    const type = { "content-type": "application/ihe+rfc3881" };
    for (const path of ["/", "/events"]) expect((await post(path, xml, type)).status).toBe(201);
    expect(texts()).toEqual([xml, xml]);
    expect(taken[0]?.mediaType).toBe("application/ihe+rfc3881");
  });

  test("of NDJSON is an event a line, as the lines stand", async () => {
    const { post, texts, taken } = endpoint();
    const lines = [`{"resourceType": "AuditEvent"}`, ` {"a": 1} `, `{"b":2}`];
    const body = `${lines[0]}\r\n\n${lines[1]}\n  \n${lines[2]}`;
    const response = await post("/events", body, { "content-type": "application/x-ndjson" });
    expect(await response.json()).toEqual({ accepted: 3, first: "1", last: "3" });
    expect(texts()).toEqual(lines);
    expect(taken.map(({ mediaType }) => mediaType)).toEqual([
      "application/fhir+json",
      "application/json",
      "application/json",
    ]);
  });
});

describe("CloudEvents", () => {
  const event = `{"specversion":"1.0", "id":"1","source":"/ehr","type":"access","data":{"a": 1.50}}`;
  test("structured is the body, and batched what stands in the array", async () => {
    const { post, texts, taken } = endpoint();
    await post("/events", event, { "content-type": "application/cloudevents+json; charset=utf-8" });
    const batch = `[ ${event} ,${event}]`;
    const response = await post("/events", batch, { "content-type": "application/cloudevents-batch+json" });
    expect(response.status).toBe(200);
    expect(texts()).toEqual([event, event, event]);
    expect(new Set(taken.map(({ mediaType }) => mediaType))).toEqual(
      new Set(["application/cloudevents+json"]),
    );
  });

  const binary = {
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-type": "access",
    "ce-source": "/ehr",
    "ce-subject": "Ren%C3%A9",
  };
  test("binary becomes an event in the JSON format, so that its attributes are covered", async () => {
    const { post, texts } = endpoint();
    await post("/events", `{"a": 1.50}`, { ...binary, "content-type": "application/json" });
    await post("/events", "\u0001plain", { ...binary, "content-type": "text/plain" });
    await post("/events", "", binary);
    const head = `{"specversion":"1.0"`;
    const rest = (type: string) =>
      `,"datacontenttype":"${type}","id":"1","source":"/ehr","subject":"René","type":"access"`;
    expect(texts()).toEqual([
      `${head}${rest("application/json")},"data":{"a": 1.50}}`,
      `${head}${rest("text/plain")},"data_base64":"AXBsYWlu"}`,
      `${head}${rest("application/fhir+json")}}`,
    ]);
  });

  test("without what each must have are refused", async () => {
    const { post, taken } = endpoint();
    const { "ce-id": _, ...rest } = binary;
    for (const [body, headers] of [
      [`{"specversion":"1.0","id":"1","source":"/"}`, { "content-type": "application/cloudevents+json" }],
      [`[${event},{}]`, { "content-type": "application/cloudevents-batch+json" }],
      ["{}", { ...rest, "content-type": "application/json" }],
      [`1,"id":"2"`, { ...binary, "content-type": "application/json" }],
      ["[]", { ...binary, "ce-subject": "%FF", "content-type": "application/json" }],
    ] as const) {
      expect((await post("/events", body, headers)).status).toBe(400);
    }
    expect(gaps(taken)).toHaveLength(5);
  });
});

describe("whatever comes", () => {
  const bodies = [
    EVENT,
    XML_EVENT,
    bundleOf("transaction", entryOf(EVENT)),
    bundleOf("batch", entryOf(EVENT)),
  ].map((text) => new TextEncoder().encode(text));
  const types = [
    "application/fhir+json",
    "application/fhir+xml",
    "application/x-ndjson",
    "application/cloudevents-batch+json",
  ];
  const mutation = fc.record({
    at: fc.nat(),
    byte: fc.nat(255),
    kind: fc.constantFrom("set", "cut", "drop"),
  });
  test("no body is answered with a server's error, or with anything but the journal having it", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...bodies),
        fc.array(mutation, { maxLength: 4 }),
        fc.constantFrom(...types),
        fc.constantFrom("/", "/AuditEvent", "/events", "/Bundle"),
        async (original, mutations, type, path) => {
          let body = original;
          for (const { at, byte, kind } of mutations) {
            const i = at % Math.max(1, body.length);
            if (kind === "set" && body.length > 0) body = body.with(i, byte);
            if (kind === "cut") body = body.subarray(0, i);
            if (kind === "drop") body = Uint8Array.from([...body.subarray(0, i), ...body.subarray(i + 1)]);
          }
          const { post, taken } = endpoint();
          const response = await post(path, body, { "content-type": type });
          expect(response.status).toBeLessThan(500);
          const events = taken.filter(({ mediaType }) => mediaType !== GAP_MEDIA_TYPE);
          if (response.status >= 400) expect(events).toEqual([]);
        },
      ),
      { numRuns: 100 },
    );
  });
});
