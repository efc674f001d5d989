/** Whose word on the time `kedge verify` takes: flags and files to certificates and blocks. */
import type { Command } from "commander";
import { TimestampError } from "../error.ts";
import { type BitcoinBlock, parseBlock } from "../time/ots.ts";
import type { TimestampTrust } from "../time/timestamps.ts";
import { type Cert, parsePemCertificates } from "../time/x509.ts";
import { readText } from "./files.ts";
import { collect } from "./options.ts";
import { misuse } from "./output.ts";

export type TimestampFlags = {
  tsaCert?: string[];
  btcHeader?: string[];
  btcRoot?: string[];
  requireTimestamp?: boolean;
};

export function withTimestamps(command: Command): Command {
  return command
    .option(
      "--tsa-cert <file>",
      "PEM certificate of a timestamping authority, or of its root, may be repeated (KEDGE_TSA_CERT: files, spaces between)",
      collect,
    )
    .option(
      "--btc-header <height:hex>",
      "a Bitcoin block's header, as of bitcoin-cli getblockheader <hash> false, may be repeated",
      collect,
    )
    .option("--btc-root <height:hex>", "or its merkle root alone, as explorers show it", collect)
    .option("--require-timestamp", "a timestamp from outside must hold, with or without witnesses");
}

/** Undefined: no timestamp is to be checked. */
export async function readTimestampTrust(
  { tsaCert, btcHeader = [], btcRoot = [], requireTimestamp }: TimestampFlags,
  isRequired: boolean,
): Promise<TimestampTrust | undefined> {
  const files = tsaCert ?? (process.env["KEDGE_TSA_CERT"] ?? "").split(/\s+/).filter((name) => name !== "");
  const tsaCerts = files.flatMap(readCertificates);
  const bitcoinBlocks = [
    ...btcHeader.map((text) => parseBlockOf("--btc-header", 160, text)),
    ...btcRoot.map((text) => parseBlockOf("--btc-root", 64, text)),
  ];
  if (tsaCerts.length + bitcoinBlocks.length > 0) return { tsaCerts, bitcoinBlocks };
  if (isRequired || requireTimestamp) {
    throw misuse(
      "To require a timestamp, say whose: --tsa-cert for an authority, --btc-header for a Bitcoin block",
    );
  }
  return undefined;
}

function readCertificates(path: string): Cert[] {
  const pem = readText(path);
  return naming(path, () => parsePemCertificates(pem));
}

function parseBlockOf(flag: string, digits: number, text: string): BitcoinBlock {
  const [, hex] = text.split(":");
  if (hex?.length !== digits || !/^\d{1,9}:[0-9a-fA-F]+$/.test(text))
    throw misuse(`${flag} is the block's height, a colon and ${digits} hex digits`);
  return naming(flag, () => parseBlock(text));
}

function naming<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof TimestampError)) throw cause;
    throw misuse(`${what}: ${cause.message.replace(/\.$/, "")}`, cause);
  }
}
