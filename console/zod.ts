/** Imported before anything else, by the page and by each worker: zod else tries `new Function`, which the policy refuses and reports. */
import * as z from "zod";

z.config({ jitless: true });
