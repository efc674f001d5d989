/**
 * A command line made of subcommands, each with its home: kedge-verify has an auditor's, the kedge of @kedge/cli a
 * tenant's as well, and the kedge of the repository an operator's as well as both.
 */
import { createRequire } from "node:module";
import { Command, CommanderError, Help } from "commander";
import { EXIT_MISUSE, misuse, report, speakAs, warn } from "./output.ts";

/** The subcommands of those who use them. Only what is here is loaded to list them. */
export type Commands = {
  readonly heading: string;
  readonly commands: {
    readonly [name: string]: {
      readonly summary: string;
      readonly load: () => Promise<(command: Command) => Command>;
    };
  };
};

/** Runs the subcommand that process.argv names, and sets the exit code. */
export async function run(name: string, description: string, groups: readonly Commands[]): Promise<void> {
  process.stdout.on("error", (error) => {
    // A reader such as `head` that has seen enough is no failure of what was done by then.
    const isClosed = "code" in error && error.code === "EPIPE";
    if (!isClosed) report(misuse(`The output cannot be written: ${error.message}`, error));
    process.exit();
  });
  process.stderr.on("error", () => undefined); // nobody left to tell
  speakAs(name);
  dropEmptyVariables();
  const program = layOut(new Command(name), process.stdout.columns, (text) => process.stdout.write(text))
    .description(description)
    .version(readVersion())
    .exitOverride()
    .configureOutput({ outputError: (text) => warn(withoutSecrets(text)) });
  const [asked = ""] = process.argv.slice(2);
  for (const { heading, commands } of groups) {
    for (const [name, { summary, load }] of Object.entries(commands)) {
      const command = program.command(name).summary(summary).description(summary).helpGroup(heading);
      if (name === asked || process.argv.includes("help")) (await load())(command);
    }
  }
  try {
    await program.parseAsync();
  } catch (error) {
    // Commander has printed what is wrong already; asking for help is no error.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_MISUSE;
    else report(error);
  }
}

/** Spaces before a term, and between it and what it is. */
const GAP = 2;
/** Columns in which a description still reads well beside its term. */
const MIN_BESIDE = 30;
/** Narrower than this, words would have to be cut. */
const MIN_COLUMNS = 40;

/** Help that is whole in so few columns: commander wraps descriptions alone, and none of them in less than 40. */
export function layOut(
  command: Command,
  columns: number | undefined,
  write: (text: string) => unknown,
): Command {
  const width = Math.max(columns ?? 80, MIN_COLUMNS);
  const help = new Help();
  help.minWidthToWrap = 1;
  const hanging = (text: string, indent: number): string =>
    help.boxWrap(text, width - indent).replaceAll("\n", `\n${" ".repeat(indent)}`);
  const whole = (line: string): string =>
    line.length <= width ? line : hanging(line, line.search(/\S/) + GAP);
  const formatItem = (term: string, termWidth: number, description: string): string => {
    const beside = termWidth + 2 * GAP;
    if (description === "") return `${" ".repeat(GAP)}${term}`;
    if (width - beside >= MIN_BESIDE) {
      return `${" ".repeat(GAP)}${term.padEnd(termWidth + GAP)}${hanging(description, beside)}`;
    }
    return `${" ".repeat(GAP)}${term}\n${" ".repeat(3 * GAP)}${hanging(description, 3 * GAP)}`;
  };
  return command
    .configureHelp({ helpWidth: width, minWidthToWrap: 1, formatItem })
    .configureOutput({ writeOut: (text) => write(text.split("\n").map(whole).join("\n")) });
}

/** They count as not set; commander would take them for what is given. */
function dropEmptyVariables(): void {
  for (const [name, value] of Object.entries(process.env)) {
    if (name.startsWith("KEDGE_") && value?.trim() === "") delete process.env[name];
  }
}

/** Commander's message on one line. It quotes an unknown option with its value, as of --api-kye=…. */
function withoutSecrets(text: string): string {
  const line = text
    .trim()
    .replace(/^error: /, "")
    .replaceAll("\n", " ");
  return line.replace(/^(unknown option '[^=]*)=.*'/, "$1'");
}

/** Every package of Kedge has the same version. */
function readVersion(): string {
  const { version }: { version: string } = createRequire(import.meta.url)("@kedge/verify/package.json");
  return version;
}
