import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { localClient, type Meter, meteredStore } from "../../bench/metered.ts";
import { startDynamodb } from "../../platform/embedded/dynamodb.ts";
import { createTable } from "../../platform/embedded/table.ts";
import { storeContract } from "../support/store-contract.ts";

const TABLE_NAME = "kedge-metered";

describe("on the embedded DynamoDB", () => {
  let meter: Meter;
  let close: () => Promise<void>;

  beforeAll(async () => {
    const server = await startDynamodb();
    await createTable(localClient(server.url), TABLE_NAME);
    meter = meteredStore(server.url, TABLE_NAME);
    close = server.close;
  });
  afterAll(() => close());

  storeContract("the metered store", () => meter.store);

  test("a write costs one unit for each kilobyte begun, under the part of the table that it is of", async () => {
    meter.take();
    await meter.store.write([
      { pk: "index/a", sk: "-", index: 1n },
      { pk: "index/b", sk: "-", index: 2n },
      { pk: "tile/a", sk: "-", data: new Uint8Array(1_500) },
    ]);
    const { writeUnits, readUnits, parts } = meter.take();
    expect({ writeUnits, readUnits }).toEqual({ writeUnits: 4, readUnits: 0 });
    expect(parts.get("index")).toEqual({ requests: 1, readUnits: 0, writeUnits: 2 });
    expect(parts.get("tile")).toEqual({ requests: 1, readUnits: 0, writeUnits: 2 });
  });

  test("a strongly consistent read costs one unit, of an absent item too", async () => {
    meter.take();
    await meter.store.get([
      { pk: "index/a", sk: "-" },
      { pk: "index/absent", sk: "-" },
    ]);
    expect(meter.take()).toMatchObject({ readUnits: 2, writeUnits: 0 });
  });

  test("calls side by side are one round trip, calls in turn are as many as they are", async () => {
    const get = () => meter.store.get([{ pk: "index/a", sk: "-" }]);
    meter.take();
    await Promise.all([get(), get(), get()]);
    expect(meter.take().roundTrips).toBe(1);
    await get();
    await get();
    expect(meter.take().roundTrips).toBe(2);
  });
});
