import { describe, expect, test } from "vitest";
import { type ClaimRule, judgeClaims, toldApart } from "../../service/sign-in-rule.ts";

const rule = (changes: Partial<ClaimRule> = {}): ClaimRule => ({
  claim: "groups",
  roles: [
    { value: "admins", role: "administrator" },
    { value: "officers", role: "officer" },
  ],
  require: {},
  ...changes,
});

describe("a claim rule", () => {
  test.each<[string, string, Record<string, unknown>]>([
    ["a name with a colon", "cognito:groups", { "cognito:groups": ["officers"] }],
    ["a name that is a URL", "https://a.example/roles", { "https://a.example/roles": "officers" }],
    ["a path", "realm_access.roles", { realm_access: { roles: ["a", "officers"] } }],
    ["a name before a path", "a.b", { "a.b": "officers", a: { b: "admins" } }],
    [
      "a JSON pointer",
      "/resource_access/my.app~1x/roles",
      { resource_access: { "my.app/x": { roles: ["officers"] } } },
    ],
  ])("finds %s", (_, claim, claims) => {
    expect(judgeClaims(rule({ claim }), claims)).toMatchObject({ role: "officer" });
  });

  test("takes the first role that fits, in the operator's order", () => {
    expect(judgeClaims(rule(), { groups: ["officers", "admins"] })).toMatchObject({ role: "administrator" });
  });

  test.each<[string, Record<string, unknown>]>([
    ["no claim", {}],
    ["another value", { groups: ["officer", "Officers", " officers"] }],
    ["a text with several", { groups: "officers admins" }],
    ["a value within a list of lists", { groups: [["officers"]] }],
    ["an object", { groups: { officers: true } }],
    ["null", { groups: null }],
    ["what every object has", { toString: "officers" }],
  ])("gives no role for %s", (_, claims) => {
    expect(judgeClaims(rule(), claims)).toBe("no_role");
    expect(judgeClaims(rule({ claim: "constructor.name" }), claims)).toBe("no_role");
  });

  test("refuses who lacks what is required, whatever their role", () => {
    const required = rule({ require: { tid: "7", hd: "example.org" } });
    const claims = { groups: ["officers"], tid: "7", hd: "example.org" };
    expect(judgeClaims(required, claims)).toMatchObject({ role: "officer" });
    for (const wrong of [{ tid: "8" }, { tid: undefined }, { tid: 7 }, { hd: "example.org.evil" }]) {
      expect(judgeClaims(required, { ...claims, ...wrong })).toBe("requirement");
    }
  });
});

describe("two tenants of one issuer and audience are told apart", () => {
  const [a, b] = ["a".repeat(16), "b".repeat(16)];
  const of = (tenant: string, changes: Partial<ClaimRule>) => ({ tenant, rule: rule(changes) });
  const own = (tenant: string) => [{ value: `${tenant}-officer`, role: "officer" as const }];

  test("by a required claim that differs, or by groups that name their tenant", () => {
    expect(toldApart(of(a, { require: { tid: "1" } }), of(b, { require: { tid: "2" } }))).toBe(true);
    expect(toldApart(of(a, { roles: own(a) }), of(b, { roles: own(b) }))).toBe(true);
  });

  test("and by nothing else", () => {
    expect(toldApart(of(a, {}), of(b, {}))).toBe(false);
    expect(toldApart(of(a, { require: { tid: "1" } }), of(b, {}))).toBe(false);
    expect(toldApart(of(a, { require: { tid: "1" } }), of(b, { require: { tid: "1" } }))).toBe(false);
    expect(toldApart(of(a, { require: { tid: "1" } }), of(b, { require: { hd: "2" } }))).toBe(false);
    // Other values of one claim are no other people.
    expect(toldApart(of(a, {}), of(b, { roles: [{ value: "auditors", role: "auditor" }] }))).toBe(false);
    expect(toldApart(of(a, { roles: own(a) }), of(b, { roles: own(a) }))).toBe(false);
    expect(toldApart(of(a, { roles: own(a) }), of(b, { roles: [...own(b), ...own(a)] }))).toBe(false);
  });
});
