import { type ApiService, openApiService, openService, type Service } from "../service/config.ts";

let opened: Service | undefined;
let openedForApi: ApiService | undefined;

/** One service per Lambda instance, opened by its first event: a wrong configuration is then an error in its log. */
export function service(): Service {
  opened ??= openService(process.env);
  return opened;
}

/** The same for the HTTP API, which neither signs nor publishes and is not configured to. */
export function apiService(): ApiService {
  openedForApi ??= openApiService(process.env);
  return openedForApi;
}
