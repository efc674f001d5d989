import type { IncomingHttpHeaders } from "node:http";

/** @returns why the request is refused, to be answered with 403; undefined when it is not. */
export function refusalOf(headers: IncomingHttpHeaders, accessKeyId: string | undefined): string | undefined;
