/** An operator at work: a checkout, a configuration, a deployment, and the functions that they ask. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { z } from "zod";
import type { Emulator } from "./emulator.ts";

const outputsSchema = z.record(z.string(), z.record(z.string(), z.string()));

export type Operator = {
  /** Runs a line in the checkout. @returns what it wrote. Fails the test unless it exits as expected. */
  run(line: string, code?: number): Promise<string>;
  /** The same, while the anchorer is run again and again: what a schedule does once a minute. */
  runWhileAnchoring(line: string): Promise<string>;
  /** Writes a configuration anew: what an example says, and what is changed of it. */
  configure(file: string, example: string, changes: object): void;
  /** Of a deployment's outputs file. */
  output(name: string, file?: string): string;
  /** As `ask` of docs/operations.md does. @throws when the function fails. */
  ask(functionOutput: string, event?: object): Promise<unknown>;
};

export function operator({ aws, run: runLine, log }: Emulator, folder: string): Operator {
  const file = (name: string): string => join(folder, name);
  const run: Operator["run"] = async (line, code = 0) => {
    const outcome = await runLine(line, folder);
    expect(outcome.code, `${line}\n${outcome.output}\n${log().slice(-4_000)}`).toBe(code);
    return outcome.output;
  };
  const output: Operator["output"] = (name, from = "cdk-outputs.json") => {
    const stacks = outputsSchema.parse(JSON.parse(readFileSync(file(from), "utf8")));
    const found = Object.values(stacks).flatMap((outputs) => outputs[name] ?? []);
    return found[0] ?? expect.fail(`${from} has no ${name}`);
  };
  const ask: Operator["ask"] = async (functionOutput, event = {}) => {
    const FunctionName = output(functionOutput);
    const answer = z
      .object({ Payload: z.string(), FunctionError: z.string().optional() })
      .parse(await aws("lambda", "invoke", { FunctionName, Payload: JSON.stringify(event) }));
    if (answer.FunctionError !== undefined) throw new Error(answer.Payload);
    return JSON.parse(answer.Payload);
  };
  return {
    run,
    async runWhileAnchoring(line) {
      let done = false;
      const running = run(line).finally(() => {
        done = true;
      });
      while (!done) {
        // Beside its schedule it may lose a race to it: the next run makes it good.
        await ask("AnchorerFunction").catch(() => {});
        await Promise.race([running.catch(() => {}), delay(1_000)]);
      }
      return await running;
    },
    configure(name, example, changes) {
      const settings = z.looseObject({}).parse(JSON.parse(readFileSync(file(example), "utf8")));
      writeFileSync(file(name), JSON.stringify({ ...settings, ...changes }, undefined, 2));
    },
    output,
    ask,
  };
}

/** The lines of the first block of shell commands under a heading of a page, without their comments. */
export function commandsUnder(page: string, heading: string): string[] {
  const text = readFileSync(join(import.meta.dirname, "../..", page), "utf8");
  const block = text.split(`\n${heading}\n`)[1]?.match(/```sh\n(.*?)```/s)?.[1];
  if (block === undefined) throw new Error(`${page} has no commands under ${heading}`);
  return block.split("\n").flatMap((line) => line.replace(/\s+#.*$/, "") || []);
}
