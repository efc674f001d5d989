// One instance of a Lambda function: imports the handler as Lambda's Node.js runtime does, and answers one event after
// the other. Plain JavaScript and nothing of this repository, so that the process holds the function's asset alone.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** What Lambda itself says when a response is larger than its 6 MB (Lambda Developer Guide, "Lambda quotas"). */
const MAX_RESPONSE_BYTES = 6_291_556;

// On a Node older than Lambda's, the AWS SDK announces at every start that it will need a newer one.
const { emitWarning } = process;
process.emitWarning = (warning, ...more) => {
  if (!String(warning).startsWith("NodeVersionSupportWarning")) emitWarning.call(process, warning, ...more);
};

const [module, name] = process.argv[2].split(".");
const path = join(process.env.LAMBDA_TASK_ROOT, `${module}.mjs`);
const { [name]: handler } = await import(pathToFileURL(path).href);

process.on("message", async ({ payload, context }) => process.send(await answer(payload, context)));
process.once("disconnect", () => process.exit());
process.send({ ready: true });

async function answer(payload, { timeoutMs, ...context }) {
  const deadline = Date.now() + timeoutMs;
  const getRemainingTimeInMillis = () => Math.max(0, deadline - Date.now());
  try {
    const result = await handler(JSON.parse(payload), { ...context, getRemainingTimeInMillis });
    return respond(result);
  } catch (error) {
    return failure(error?.name ?? typeof error, error?.message ?? String(error));
  }
}

function respond(result) {
  let response;
  try {
    // What is undefined, such as the result of a handler that returns nothing, is null to the caller.
    response = JSON.stringify(result) ?? "null";
  } catch (error) {
    return failure("Runtime.MarshalError", error.message);
  }
  const bytes = Buffer.byteLength(response);
  if (bytes <= MAX_RESPONSE_BYTES) return { response };
  const message = `Response payload size exceeded maximum allowed payload size (${MAX_RESPONSE_BYTES} bytes): ${bytes}.`;
  return failure("Function.ResponseSizeTooLarge", message);
}

const failure = (errorType, errorMessage) => ({ errorType, errorMessage });
