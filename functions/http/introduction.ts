/** What the OpenAPI document says before its routes: how to make a commitment, and how to talk to the service. */
import { MAX_BODY, MAX_ENTRIES, MAX_NAME, MAX_OF_A_KIND, MAX_PROOFS } from "@kedge/cli/contract/limits";
import { COMMITMENT_BYTES } from "@kedge/verify/events/commitment";

/** A test computes each anew, by the recipe and by the code that commits. */
export const TEST_VECTORS = [
  {
    event: '{"resourceType":"AuditEvent","id":"1"}',
    mediaType: "application/fhir+json",
    canonicalisation: "raw",
    nonce: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    commitment: "444ce01e6147e7893034622de696676149b2d83c8f415bf7af75b5b579db6a79",
  },
  {
    event: '{"resourceType":"AuditEvent","id":"1"}',
    mediaType: "application/fhir+json",
    canonicalisation: "raw",
    source: "ehr.example",
    sequence: "42",
    tenantKey: "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
    nonce: "3a6a1e5c2cf0d816a030ca3084722d1fb7199194f7096b748ff746766a5f4319",
    commitment: "5014f8e48f903e417cf5d03606e6f38b4cc6f52597e54f645c924bc4a5eebd00",
  },
  {
    event: '{ "b": 1, "a": "é" }',
    mediaType: "application/json",
    canonicalisation: "jcs",
    tenantKey: "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
    nonce: "4a3b8280be3348ebe7bbfd5c74c4eb12f9b4bf099bd030cc1fe7cc43f06a8f55",
    commitment: "5fe7146621f89e10b70315a784aa4a674cc578044275f30822dd32b13d8ab561",
  },
] as const;

export const INTRODUCTION = `Anchors healthcare audit trails in append-only Merkle logs (RFC 6962). Commit to each access event where it happens, post
the commitments here, fetch the proofs, and verify them offline, for decades, trusting neither the tenant nor the operator.

## Making a commitment

A commitment is ${COMMITMENT_BYTES} bytes, made where the event is. The event is never sent: the service sees commitments only.

    message    = "kedge/v1" 00 canonicalisation 00 mediaType 00 source 00 sequence 00 bytes
    commitment = HMAC-SHA256(key = nonce, message)

\`00\` is one zero byte, every text is UTF-8, and \`bytes\` is the event, as \`canonicalisation\` makes it: \`raw\` (the bytes as they
are) or \`jcs\` (RFC 8785). \`source\` is the name of the system that emitted the event and \`sequence\` the event's number there,
in decimal; both are empty where they are not used. \`mediaType\` is lower-case, without parameters.

The nonce is 32 bytes, of one event only. Derive it from the tenant key, 32 secret bytes that never leave the tenant:

    nonce = HMAC-SHA256(key = tenantKey, "kedge/v1 nonce" 00 SHA-256(message))

or draw it at random and keep it. Canonicalisation, media type, source, sequence and nonce are the event's *opening*: with it
anyone can check that the commitment is the event's; without it, nobody can.

Test vectors; \`event\` is UTF-8 text, binary values are hex:

\`\`\`json
${JSON.stringify(TEST_VECTORS, null, 2)}
\`\`\`

Post the commitments to \`/v1/logs/{log}/entries\`, in lower-case hex.

## API keys

Send \`Authorization: Bearer kedge_<id>_<secret>\`. A key belongs to one tenant, has the scopes \`write\`, \`read\` or \`admin\`, and
may be limited to one log. Each operation names the scope that it needs. What is another tenant's is answered as what does not
exist. What is under \`/anchor\` is public and needs no key.

## Repeating a request

Posting is idempotent: an entry stands in a log once, however often it is posted, so repeat a post whose answer was lost. So is
every other request but \`createLog\` and \`createKey\`: where their answer was lost, list what there is first.

Repeat after 429 and 503, and where no answer came. \`Retry-After\` says how many seconds to wait; without it, wait twice as long
each time. An entry that is \`pending\` is sealed within seconds and anchored within minutes: ask again then.

## Limits

| | most |
| --- | --- |
| commitments in a post, hashes in a question of how far they have come | ${MAX_ENTRIES.toLocaleString("en")} |
| hashes in a request for proofs | ${MAX_PROOFS.toLocaleString("en")} |
| bytes of a request's body | ${MAX_BODY.toLocaleString("en")} |
| logs of a tenant, API keys of a tenant | ${MAX_OF_A_KIND.toLocaleString("en")} each |
| characters of a name | ${MAX_NAME} |

Bodies are sent as they are, without \`Content-Encoding\`.

## Errors

Every refusal is \`application/problem+json\` (RFC 9457). Programs switch on \`type\`, \`urn:kedge:problem:<code>\`; \`detail\` says what
happened and what to do next; \`instance\` holds the request id, also in \`X-Request-Id\`, to be named to the operator. A path with
another method is answered by 405, and \`Allow\` names the methods that it takes. A message that is not HTTP, or whose headers are
larger than 16 KiB, is refused before it reaches the API, with 400, 408, 417 or 431 and without a problem.`;
