/** What is wrong with the index itself, so that an operator has to make a run anew. */
import { ServiceError } from "../../platform/error.ts";

/** The cause of the ServiceErrors of this file: what the metric IndexFault counts. */
class IndexFault extends Error {
  override readonly name = "IndexFault";
}

export const isIndexFault = (error: unknown): boolean =>
  error instanceof ServiceError && error.cause instanceof IndexFault;

/** The run's bytes are not those that the cover and its header vouch for. */
export const altered = (name: string): ServiceError => fault(name, `the run ${name} of the index is altered`);
/** The run is not there, although the cover names it. */
export const lost = (name: string): ServiceError => fault(name, `the run ${name} of the index is lost`);
/** The cover, or the tiles that it was to be extended with, are not of the log's published tree. */
export const foreign = (log: string): ServiceError =>
  fault(log, `the index's cover of log ${log} is not of its published tree`);

function fault(name: string, what: string): ServiceError {
  const log = name.split("/")[0] ?? name;
  return new ServiceError("corrupt", `${what}: make it anew with kedge index rebuild ${log}`, {
    cause: new IndexFault(name),
  });
}
