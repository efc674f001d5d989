/** Prometheus metrics: the text format, and that nothing in it says whose they are. */
import { afterEach, expect, test } from "vitest";
import { exposition, parseAddress, startPrometheus } from "../../local/prometheus.ts";
import { metricLine } from "../../platform/log.ts";

let close: (() => Promise<void>) | undefined;
afterEach(() => close?.());

test("totals count, times are seconds, and a log's id in the line is not in the metrics", async () => {
  const server = await startPrometheus("0");
  close = server.close;
  metricLine({ event: "seal", log: "k3v7q2m5xj4t6n2hbya" }, { SealLag: 1500, Signatures: 2, BatchSize: 7 });
  metricLine({ event: "sweep" }, { SealLag: 250, Signatures: 3 });
  const answer = await fetch(`${server.url}/metrics`);
  expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(await answer.text()).toBe(
    [
      "# HELP kedge_seal_lag_seconds SealLag of docs/metrics.md",
      "# TYPE kedge_seal_lag_seconds gauge",
      "kedge_seal_lag_seconds 0.25",
      "# HELP kedge_batch_size BatchSize of docs/metrics.md",
      "# TYPE kedge_batch_size gauge",
      "kedge_batch_size 7",
      "# HELP kedge_signatures_total Signatures of docs/metrics.md",
      "# TYPE kedge_signatures_total counter",
      "kedge_signatures_total 5",
      "",
    ].join("\n"),
  );
  expect((await fetch(`${server.url}/`)).status).toBe(404);
});

test("no metric is no line", () => expect(exposition([])).toBe(""));

test.each([
  ["9464", { host: "127.0.0.1", port: 9464 }],
  ["0.0.0.0:9464", { host: "0.0.0.0", port: 9464 }],
  ["[::1]:9464", { host: "::1", port: 9464 }],
])("%s is an address", (text, address) => expect(parseAddress(text)).toEqual(address));

test.each(["", "here", "::1:9464", "a:b", "99999", "localhost:70000", "http://localhost:9464"])(
  "%s is none",
  (text) => expect(() => parseAddress(text)).toThrow(/KEDGE_PROMETHEUS|no port/),
);
