/** The functions of the service, each with a spec of its own. */
import { ANCHORER } from "../anchorer/function.ts";
import { API } from "../api/function.ts";
import type { FunctionName } from "../names.ts";
import { SEALER } from "../sealer/function.ts";
import type { ServiceFunction } from "./function.ts";

export const SPECS: Readonly<Record<FunctionName, ServiceFunction>> = {
  api: API,
  sealer: SEALER,
  anchorer: ANCHORER,
};
