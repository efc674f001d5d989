import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { inWords } from "../../platform/words.ts";
import { openTimestamping } from "../../service/authorities.ts";
import { openApiService } from "../../service/config.ts";
import { readPolicy } from "../../service/policy.ts";
import { openWitness } from "../../witness/config.ts";

const folder = mkdtempSync(join(tmpdir(), "kedge-words-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What only a programmer can read. */
const RAW = /ENOENT|EISDIR|Invalid|expected|received|Too (small|big)|NaN|undefined|\[object/;

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
  throw new Error("nothing was refused");
}

describe("what is wrong with a configuration is said without the words of a schema or a system call:", () => {
  const cases: [string, () => unknown, RegExp][] = [
    ["the API's environment, empty", () => openApiService({}), /KEDGE_STORE: it is missing/],
    [
      "the API's environment, wrong",
      () => openApiService({ KEDGE_STORE: "a", KEDGE_DOMAIN: "a".repeat(201), KEDGE_POLICY: "" }),
      /KEDGE_STORE: dynamodb:<table> or lmdb:\/\/\/<folder>; KEDGE_INDEX: a file:\/\/\/ or s3:\/\/ URL; KEDGE_DOMAIN: it must have at most 200 characters.*KEDGE_POLICY: it is empty/,
    ],
    ["a policy that is absent", () => readPolicy("/no/policy", "a"), /\/no\/policy.*there is no such file/],
    ["a policy that is a folder", () => readPolicy(folder, "a"), /it is a folder/],
    [
      "timestamps",
      () => openTimestamping({ KEDGE_TSA_EVERY: "often", KEDGE_TSA_CERTS: "" }),
      /KEDGE_TSA_CERTS: it is empty; KEDGE_TSA_EVERY: it must be a number/s,
    ],
    [
      "too many authorities",
      () => openTimestamping({ KEDGE_TSA_URLS: "https://a.example ".repeat(9), KEDGE_TSA_CERTS: "x" }),
      /KEDGE_TSA_URLS: it must have at most 8 entries/,
    ],
    [
      "certificates that are absent",
      () => openTimestamping({ KEDGE_TSA_URLS: "https://a.example", KEDGE_TSA_CERTS: "/no/certs" }),
      /KEDGE_TSA_CERTS \/no\/certs cannot be read as PEM certificates: there is no such file/,
    ],
    ["a witness's environment, empty", () => openWitness({}), /KEDGE_WITNESS_NAME: it is missing/],
    [
      "a witness's file of logs",
      () =>
        openWitness({
          KEDGE_STORE: "dynamodb:abc",
          KEDGE_WITNESS_NAME: "w",
          KEDGE_WITNESS_KEY: "k",
          KEDGE_WITNESS_LOGS_FILE: "/no/logs",
        }),
      /\/no\/logs cannot be read: there is no such file/,
    ],
  ];
  test.each(cases)("%s", (_, run, said) => {
    const message = messageOf(run);
    expect(message).toMatch(said);
    expect(message).not.toMatch(RAW);
  });

  test("a message that a schema was given stands", () => {
    const schema = z.string("a name").min(1, "some name");
    expect(z.safeParse(schema, 1, { error: inWords }).error?.issues[0]?.message).toBe("a name");
    expect(z.safeParse(schema, "", { error: inWords }).error?.issues[0]?.message).toBe("some name");
    expect(z.safeParse(z.number().gt(0), 0, { error: inWords }).error?.issues[0]?.message).toBe(
      "it must be more than 0",
    );
  });
});
