/** What a source saw and could not take, as it is handed to the journal: an event of its own. */
import { GAP_MEDIA_TYPE, type Gap, gapBytes } from "@kedge/verify/events/gap";
import type { Arrival } from "../journal/types.ts";

export const gapArrival = (gap: Gap): Arrival => ({ bytes: gapBytes(gap), mediaType: GAP_MEDIA_TYPE });
