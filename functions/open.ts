import { openService, type Service } from "../service/config.ts";

let opened: Service | undefined;

/** One service per Lambda instance, opened by its first event: a wrong configuration is then an error in its log. */
export function service(): Service {
  opened ??= openService(process.env);
  return opened;
}
