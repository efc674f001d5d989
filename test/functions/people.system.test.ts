/** The people's routes over HTTP: what hostile bodies get, when links and sessions end, and two tabs at once. */

import { linksSchema, REVIEW_FILTERS, signedInSchema } from "@kedge/cli/contract/people";
import { apiKeysSchema } from "@kedge/cli/contract/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createApp } from "../../functions/http/app.ts";
import { createStart } from "../../service/people-start.ts";
import { type App, bearer, type Harness, json, newTenant, startHarness } from "./harness.ts";

let kedge: Harness;
let app: App;
/** What is added to the service's clock, in ms. */
let ahead = 0;
const clock = () => Date.now() + ahead;
beforeAll(async () => {
  kedge = await startHarness();
  app = createApp({ ...kedge.service, clock, startLinks: true });
});
afterAll(() => kedge.close());

type Tenant = Harness["a"];
const HOUR = 3_600_000;
const JSON_TYPE = { "Content-Type": "application/json" };
const isoAt = (ms: number) => new Date(ms).toISOString();

const post = (path: string, body: unknown, token?: string) => app.request(path, json(token ?? "none", body));
const get = (path: string, token: string) => app.request(path, { headers: bearer(token) });
const remove = (path: string, token: string) =>
  app.request(path, { method: "DELETE", headers: bearer(token) });
const statuses = async (answers: readonly (Response | Promise<Response>)[]) =>
  (await Promise.all(answers)).map(({ status }) => status);
const signIn = async (body: { link: string } | { start: string }) =>
  signedInSchema.parse(await (await post("/v1/sign-in", body)).json()).token;

const problem = z.object({ type: z.string().startsWith("urn:kedge:problem:"), detail: z.string().min(1) });

describe("a hostile request", () => {
  let tenant: Tenant;
  let token: string;
  beforeAll(async () => {
    tenant = await newTenant(kedge.service);
    token = await tenant.session("administrator");
  });

  const routes = (): [string, Record<string, unknown>][] => [
    ["/v1/sign-in", { link: "a".repeat(95) }],
    ["/v1/sign-in", { start: "a".repeat(95) }],
    [
      `/v1/sign-in/${tenant.id}`,
      {
        ...{ code: "a code", codeVerifier: "v".repeat(43), nonce: "n".repeat(43) },
        ...{ redirectUri: "https://console.example/", iss: "https://login.example" },
      },
    ],
    ["/v1/links", { name: "an auditor", log: tenant.log.id, expiresAt: isoAt(clock() + HOUR) }],
    [
      `/v1/logs/${tenant.log.id}/reviews`,
      {
        ...{ commitment: "a".repeat(64), root: "b".repeat(64), filter: ["user"], count: 1 },
        ...{ from: "2026-01-01T00:00:00Z", to: "2026-02-01T00:00:00Z" },
      },
    ],
    ["/v1/exports", { kind: "pack", log: tenant.log.id, count: 1, digest: "c".repeat(64) }],
  ];
  /** Of no member's kind: each is refused wherever it stands. */
  const odd = [
    ...[null, true, -1, 1.5, 1e308, 2 ** 60, [[]], { a: 1 }, ["\ud800"], [7]],
    ...["", "\ud800", "a\u0000b", "x".repeat(5_000)],
    `2026-01-01T00:00:00.${"1".repeat(100_000)}Z`,
  ];
  const refused = async (answer: Response, what: string) => {
    const text = await answer.text();
    expect([what, answer.status, text]).toEqual([what, expect.toSatisfy(isRefusal), text]);
    problem.parse(JSON.parse(text));
  };
  const isRefusal = (status: number) => status >= 400 && status < 500;

  test("with an odd member is refused, with a problem", async () => {
    for (const [path, good] of routes()) {
      for (const member of Object.keys(good)) {
        // What a code is, a provider says; nobody of this tenant signs in at one.
        for (const value of odd) {
          const what = `${path} ${member} ${JSON.stringify(value).slice(0, 40)}`;
          await refused(await post(path, { ...good, [member]: value }, token), what);
        }
      }
    }
  });

  test("that tells a name in a review's filter is refused: nothing of an event comes into the trail", async () => {
    const [path, review] = routes().find(([path]) => path.endsWith("/reviews")) ?? ["", {}];
    for (const word of ["Mustermann", "constructor", "from"]) {
      await refused(await post(path, { ...review, filter: ["user", word] }, token), word);
    }
    expect((await post(path, { ...review, filter: [...REVIEW_FILTERS] }, token)).status).toBe(202);
  });

  test("with a body that is no JSON, or no such JSON, is refused", async () => {
    for (const [path, good] of routes()) {
      const text = JSON.stringify(good);
      const more = (member: string) => `${text.slice(0, -1)},${member}}`;
      const bodies = [
        ...[
          "",
          "[".repeat(500_000),
          '{"a":'.repeat(100_000),
          text + text,
          `${text}\u0000`,
          "NaN",
          "1e999999",
        ],
        ...[
          more('"__proto__":{"admin":true}'),
          more('"constructor":{}'),
          '{"toString":1,"hasOwnProperty":2}',
        ],
        ...[
          `[${"0,".repeat(300_000)}0]`,
          text + " ".repeat(1 << 20),
          more(`"x":"${"x".repeat(900_000)}"`),
          text.replace("{", '{"\ud800":1,'),
        ],
        ...[Uint8Array.of(0x7b, 0xff, 0x7d), Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)],
      ];
      for (const [i, body] of bodies.entries()) {
        const init = { method: "POST", headers: { ...bearer(token), ...JSON_TYPE }, body };
        await refused(await app.request(path, init), `${path} body ${i}`);
      }
      for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/json, text/html"]) {
        const init = { method: "POST", headers: { ...bearer(token), "Content-Type": type }, body: text };
        expect((await app.request(path, init)).status).toBe(415);
      }
      for (const method of ["PUT", "PATCH", "OPTIONS", "BREW"]) {
        const answer = await app.request(path, { method, headers: bearer(token) });
        expect([path, method, answer.status]).toEqual([path, method, 405]);
        expect(answer.headers.get("allow")).toContain("POST");
      }
    }
  });

  test("of a member that stands twice the last counts, and it is judged as any other", async () => {
    const body = `{"kind":"pack","count":1,"count":-1}`;
    const init = { method: "POST", headers: { ...bearer(token), ...JSON_TYPE }, body };
    await refused(await app.request("/v1/exports", init), "twice");
  });

  test("with an endless path, id or query is refused", async () => {
    const ids = [
      "a".repeat(100_000),
      "%00",
      "%ff",
      "%2F",
      "%F0%9F%92%A9".repeat(1_000),
      "__proto__",
      tenant.id,
    ];
    for (const id of ids) {
      expect((await remove(`/v1/links/${id}`, token)).status).toBe(404);
      expect((await app.request(`/v1/sign-in/${id}`)).status).toBe(404);
      const [, good] = routes()[4] ?? [];
      expect((await post(`/v1/logs/${id}/reviews`, good, token)).status).toBe(404);
    }
    for (const query of [
      "before=-1",
      `before=${"9".repeat(10_000)}`,
      "before=%00",
      "limit=0",
      "limit=1e2",
      "limit=1&limit=1",
    ]) {
      await refused(await get(`/v1/trail?${query}`, token), query);
    }
    for (const text of ["a".repeat(1_000_000), `${token}x`, token.toUpperCase(), `${token} ${token}`]) {
      expect((await get("/v1/session", text)).status).toBe(401);
    }
  });
});

describe("an expiry", () => {
  const tomorrow = isoAt(Date.now() + 24 * HOUR).slice(0, 10);
  const cases: [string, () => string, string | undefined][] = [
    ["with a fraction is kept to the millisecond", () => `${tomorrow}T10:00:00.1239999Z`, "T10:00:00.123Z"],
    ["with an offset is the same moment", () => `${tomorrow}T23:30:00+05:30`, "T18:00:00.000Z"],
    ["without an offset is refused", () => `${tomorrow}T10:00:00`, undefined],
    ["without a time is refused", () => tomorrow, undefined],
    ["of a second that is none is refused", () => `${tomorrow}T23:59:60Z`, undefined],
    ["of a day that is none is refused", () => "2027-02-29T00:00:00Z", undefined],
    ["in the past is refused", () => "2020-01-01T00:00:00Z", undefined],
    [
      "of a second ago by its offset is refused",
      () => isoAt(clock() + HOUR - 1_000).replace("Z", "+01:00"),
      undefined,
    ],
    ["in the year 0 is refused", () => "0000-01-01T00:00:00Z", undefined],
    ["in the year 10000 by its offset is refused", () => "9999-12-31T23:59:59-23:59", undefined],
  ];
  test.each(cases)("%s, of a link and of a key", async (_, expiry, kept) => {
    const { a } = kedge;
    const token = await a.session("administrator");
    const expiresAt = expiry();
    const link = await post("/v1/links", { name: "an auditor", log: a.log.id, expiresAt }, token);
    const key = await post("/v1/keys", { name: "an agent", scopes: ["read"], expiresAt }, token);
    for (const answer of [link, key]) {
      expect(answer.status).toBe(kept === undefined ? 400 : 201);
      expect(await answer.json()).toMatchObject(
        kept === undefined ? { status: 400 } : { expiresAt: `${tomorrow}${kept}` },
      );
    }
  });

  test("beyond a year is a key's, and no link's", async () => {
    const { a } = kedge;
    const token = await a.session("administrator");
    const expiresAt = "9999-12-31T23:59:59Z";
    const link = await post("/v1/links", { name: "an auditor", log: a.log.id, expiresAt }, token);
    expect([link.status, await link.json()]).toMatchObject([
      400,
      { detail: expect.stringContaining("a year") },
    ]);
    expect((await post("/v1/keys", { name: "an agent", scopes: ["read"], expiresAt }, token)).status).toBe(
      201,
    );
  });

  test("of a link ends the session that is in use, and lets nobody in from then on", async () => {
    const { a } = kedge;
    const link = await a.link(a.log.id);
    const token = await signIn({ link: link.text });
    const asked = () => Promise.all([get(`/v1/logs/${a.log.id}`, token), get("/v1/session", token)]);
    expect((await asked()).map(({ status }) => status)).toEqual([200, 200]);
    ahead += HOUR;
    expect((await asked()).map(({ status }) => status)).toEqual([401, 401]);
    const late = await post("/v1/sign-in", { link: link.text });
    expect([late.status, await late.json()]).toMatchObject([
      401,
      { detail: expect.stringContaining("new one") },
    ]);
  });
});

describe("two tabs", () => {
  test("with the same start link: one is signed in", async () => {
    const start = await createStart({ ...kedge.service, clock }, kedge.a.id);
    const all = await statuses([1, 2, 3].map(() => post("/v1/sign-in", { start })));
    expect(all.sort()).toEqual([201, 401, 401]);
  });

  test("that revoke the same link or key at once: it is revoked, both are told so, and it is on record", async () => {
    const tenant = await newTenant({ ...kedge.service, clock });
    const token = await tenant.session("administrator");
    const link = await tenant.link(tenant.log.id);
    const viewer = await signIn({ link: link.text });
    const key = await tenant.key(["read"]);
    for (const path of [`/v1/links/${link.id}`, `/v1/keys/${key.id}`]) {
      expect(await statuses([remove(path, token), remove(path, token)])).toEqual([204, 204]);
    }
    for (const credential of [viewer, key.apiKey]) {
      expect((await get(`/v1/logs/${tenant.log.id}`, credential)).status).toBe(401);
    }
    const read = async () => {
      const [links, keys] = await Promise.all(["/v1/links", "/v1/keys"].map((path) => get(path, token)));
      return [
        linksSchema.parse(await links?.json()).links.find(({ id }) => id === link.id)?.revokedAt,
        apiKeysSchema.parse(await keys?.json()).keys.find(({ id }) => id === key.id)?.revokedAt,
      ];
    };
    const revoked = await read();
    expect(revoked).toEqual([expect.any(String), expect.any(String)]);
    ahead += 1_000;
    for (const path of [`/v1/links/${link.id}`, `/v1/keys/${key.id}`]) {
      expect((await remove(path, token)).status).toBe(204);
    }
    expect(await read()).toEqual(revoked);
    const trail = await (await get("/v1/trail", token)).text();
    for (const [kind, { id }] of [["link_revoked", link] as const, ["key_revoked", key] as const]) {
      expect(
        trail.split("AuditEvent").filter((event) => event.includes(kind) && event.includes(id)),
      ).not.toEqual([]);
    }
  });

  test("of which one signs out while the other holds a body back: the body comes too late", async () => {
    const tenant = await newTenant(kedge.service);
    const token = await tenant.session("administrator");
    const bodies = [
      ["/v1/keys", { name: "late", scopes: ["admin"] }],
      ["/v1/links", { name: "late", log: tenant.log.id, expiresAt: isoAt(clock() + HOUR) }],
    ] as const;
    let end = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      end = resolve;
    });
    const answers: (Response | Promise<Response>)[] = [];
    for (const [path, body] of bodies) {
      // Who is asked for the body has been let in.
      await new Promise<void>((isAsked) => {
        const slow = new ReadableStream<Uint8Array>(
          {
            async pull(controller) {
              isAsked();
              await held;
              controller.enqueue(new TextEncoder().encode(JSON.stringify(body)));
              controller.close();
            },
          },
          { highWaterMark: 0 },
        );
        const headers = { ...bearer(token), ...JSON_TYPE };
        answers.push(app.request(path, { method: "POST", headers, body: slow, duplex: "half" }));
      });
    }
    expect((await remove("/v1/session", token)).status).toBe(204);
    ahead += 2_000;
    end();
    expect(await statuses(answers)).toEqual([401, 401]);
  });

  test("of which one signs out while the other acts: what comes after is refused, and nothing fails", async () => {
    for (let i = 0; i < 5; i++) {
      const token = await kedge.a.session("officer");
      const paths = ["/v1/session", "/v1/links", "/v1/trail", "/v1/logs"];
      const acting = [...paths, ...paths].map((path) => get(path, token));
      const leaving = [remove("/v1/session", token), remove("/v1/session", token)];
      const all = await statuses([...acting, ...leaving]);
      expect(all.filter((status) => ![200, 204, 401].includes(status))).toEqual([]);
      expect(await statuses(paths.map((path) => get(path, token)))).toEqual([401, 401, 401, 401]);
      expect((await remove("/v1/session", token)).status).toBe(401);
    }
  });
});
