/** A command line made of subcommands: each one's module is loaded when it runs, or its help is asked for. */
import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";
import { EXIT_MISUSE, misuse, report } from "./output.ts";

/** What a subcommand is for, and how it gets its options. Nothing else is loaded to list them. */
export type Commands = {
  readonly [name: string]: {
    readonly summary: string;
    readonly load: () => Promise<(command: Command) => Command>;
  };
};

/** Runs the subcommand that `argv` names, as process.argv does, and sets the exit code. */
export async function run(
  { name, description }: { name: string; description: string },
  commands: Commands,
  argv: readonly string[],
): Promise<void> {
  process.stdout.on("error", (error) => {
    // A reader such as `head` that has seen enough is no failure of what was done by then.
    const isClosed = "code" in error && error.code === "EPIPE";
    if (!isClosed) report(misuse(`The output cannot be written: ${error.message}`, error));
    process.exit();
  });
  process.stderr.on("error", () => undefined); // nobody left to tell
  const program = new Command(name).description(description).version(readVersion()).exitOverride();
  const asked = argv[2] ?? "";
  for (const [name, { summary, load }] of Object.entries(commands)) {
    const command = program.command(name).summary(summary).description(summary);
    if (name === asked || argv.includes("help")) (await load())(command);
  }
  try {
    await program.parseAsync(argv);
  } catch (error) {
    // Commander has printed what is wrong already; asking for help is no error.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_MISUSE;
    else report(error);
  }
}

/** Every package of Kedge has the same version. */
function readVersion(): string {
  const { version }: { version: string } = createRequire(import.meta.url)("@kedge/verify/package.json");
  return version;
}
