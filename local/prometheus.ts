/**
 * The metrics of this process for Prometheus, on an address of their own: https://prometheus.io/docs/instrumenting/exposition_formats/
 * (version 0.0.4). They are those of docs/metrics.md, and none has a label: no log and no tenant shows in them.
 */
import { checkPort, type Listening, listen } from "../platform/embedded/listen.ts";
import { ServiceError } from "../platform/error.ts";
import { type KeptMetric, keepMetrics } from "../platform/log.ts";

const TYPE = "text/plain; version=0.0.4; charset=utf-8";
const SETTING = "KEDGE_PROMETHEUS";

/** @param address `[<host>:]<port>`; without a host, loopback. @throws ServiceError `invalid`, `unavailable` */
export async function startPrometheus(address: string): Promise<Listening> {
  const { host, port } = parseAddress(address);
  const read = keepMetrics();
  const answer = (request: Request) =>
    new URL(request.url).pathname === "/metrics"
      ? new Response(exposition(read()), { headers: { "Content-Type": TYPE, "Cache-Control": "no-store" } })
      : new Response("GET /metrics\n", { status: 404 });
  return await listen(answer, { host, port, portSetting: SETTING });
}

export function parseAddress(address: string): { host: string; port: number } {
  const [, ipv6, name, digits] = /^(?:(?:\[([0-9a-f:]+)\]|([\w.-]+)):)?(\d{1,5})$/i.exec(address) ?? [];
  if (digits === undefined) {
    throw new ServiceError("invalid", `${SETTING} is a port, or host:port as 127.0.0.1:9464`);
  }
  checkPort(Number(digits));
  return { host: ipv6 ?? name ?? "127.0.0.1", port: Number(digits) };
}

/** Times in seconds, as Prometheus has them; what only rises ends in _total. */
export function exposition(metrics: readonly KeptMetric[]): string {
  return metrics.map(sample).join("");
}

function sample({ name, unit, isTotal, value }: KeptMetric): string {
  const words = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const full = `kedge${words}${unit === "Milliseconds" ? "_seconds" : ""}${isTotal ? "_total" : ""}`;
  const seconds = unit === "Milliseconds" ? value / 1_000 : value;
  return `# HELP ${full} ${name} of docs/metrics.md\n# TYPE ${full} ${isTotal ? "counter" : "gauge"}\n${full} ${seconds}\n`;
}
