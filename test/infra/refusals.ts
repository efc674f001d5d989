/** What nobody may do whom it is not for, though it were tried: negative controls of the synthesised policies. */
import type { Judged, Principal } from "./access.ts";
import { ACCOUNT, type FunctionName } from "./deployment.ts";

/** The ARN of the resource of a type under a construct. */
export type ArnOf = (type: string, construct: string) => string;
type PrincipalOf = (name: FunctionName) => Principal;

export type Case = {
  readonly what: string;
  readonly asking: (principalOf: PrincipalOf) => Principal;
  readonly call: (arnOf: ArnOf) => Judged;
};

const LOG = "a".repeat(19);

const inTable =
  (action: string, ...partitions: string[]) =>
  (arnOf: ArnOf): Judged => ({
    action: `dynamodb:${action}`,
    resource: arnOf("AWS::DynamoDB::Table", "Table"),
    context: { "dynamodb:LeadingKeys": partitions },
  });
export const sign =
  (key: string, algorithm = "ED25519_SHA_512", type = "RAW") =>
  (arnOf: ArnOf): Judged => ({
    action: "kms:Sign",
    resource: arnOf("AWS::KMS::Key", key),
    context: { "kms:SigningAlgorithm": algorithm, "kms:MessageType": type },
  });
const onObject =
  (action: string, key = `logs/${LOG}/head`) =>
  (arnOf: ArnOf): Judged => ({
    action: `s3:${action}`,
    resource: `${arnOf("AWS::S3::Bucket", "Published")}/${key}`,
    context: {},
  });

const api = (of: PrincipalOf) => of("api");
const sealer = (of: PrincipalOf) => of("sealer");
const anchorer = (of: PrincipalOf) => of("anchorer");
/** May do everything in the account, as far as policies of IAM go. */
export const almighty = (role: string): Principal => ({
  account: ACCOUNT,
  role,
  policies: { all: { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }] } },
});
const administrator = () => almighty("Administrator");
const renamed = (of: PrincipalOf): Principal => ({ ...of("sealer"), role: `${of("sealer").role}2` });

/** The same calls, of whom they are for: without these, all below could be refused for a slip of this test. */
export const POSSIBLE: readonly Case[] = [
  { what: "the sealer signs with the log key", asking: sealer, call: sign("LogKey-a") },
  { what: "the anchorer signs with the anchor key", asking: anchorer, call: sign("AnchorKey-a") },
  { what: "and with ML-DSA", asking: anchorer, call: sign("AnchorMldsaKey-a", "ML_DSA_SHAKE_256") },
  { what: "the sealer moves a head", asking: sealer, call: inTable("PutItem", `log/${LOG}`) },
  { what: "the anchorer moves its own", asking: anchorer, call: inTable("PutItem", "log/anchor") },
  { what: "the API makes an API key", asking: api, call: inTable("PutItem", "tenant/a") },
  { what: "the sealer writes a record", asking: sealer, call: onObject("PutObject") },
  {
    what: "the anchorer shows a checkpoint",
    asking: anchorer,
    call: onObject("PutObject", "anchor/checkpoint"),
  },
  { what: "an administrator reads one", asking: administrator, call: onObject("GetObject") },
  {
    what: "whoever can do everything signs in the sealer's role",
    asking: (of) => almighty(of("sealer").role),
    call: sign("LogKey-a"),
  },
];

const REMOVALS = ["DeleteObject", "DeleteObjectVersion", "PutObjectRetention", "PutObjectLegalHold"];

export const REFUSED: readonly Case[] = [
  { what: "the sealer does not sign for the anchor log", asking: sealer, call: sign("AnchorKey-a") },
  { what: "nor with ML-DSA", asking: sealer, call: sign("AnchorMldsaKey-a", "ML_DSA_SHAKE_256") },
  { what: "nor by another algorithm", asking: sealer, call: sign("LogKey-a", "ED25519_PH_SHA_512") },
  { what: "nor a digest", asking: sealer, call: sign("LogKey-a", "ED25519_SHA_512", "DIGEST") },
  { what: "the anchorer does not sign for a tenant's log", asking: anchorer, call: sign("LogKey-a") },
  { what: "the API does not sign", asking: api, call: sign("LogKey-a") },
  { what: "an administrator of the account does not sign", asking: administrator, call: sign("LogKey-a") },
  { what: "nor for the anchor log", asking: administrator, call: sign("AnchorKey-a") },
  { what: "nor does the sealer's policy under another name", asking: renamed, call: sign("LogKey-a") },
  { what: "the API moves no head", asking: api, call: inTable("PutItem", `log/${LOG}`) },
  { what: "nor the anchor log's", asking: api, call: inTable("PutItem", "log/anchor") },
  { what: "nor adds to the anchor log", asking: api, call: inTable("PutItem", "pending/anchor/3") },
  { what: "nor writes a tile", asking: api, call: inTable("BatchWriteItem", `tile/${LOG}/0/0`) },
  {
    what: "nor a head among its own",
    asking: api,
    call: inTable("BatchWriteItem", "tenant/a", `log/${LOG}`),
  },
  { what: "nor publishes anything", asking: api, call: onObject("PutObject") },
  {
    what: "the anchorer moves no tenant log's head",
    asking: anchorer,
    call: inTable("PutItem", `log/${LOG}`),
  },
  { what: "nor writes its record", asking: anchorer, call: onObject("PutObject") },
  {
    what: "the sealer does not move the anchor log's head",
    asking: sealer,
    call: inTable("PutItem", "log/anchor"),
  },
  { what: "nor writes its record", asking: sealer, call: onObject("PutObject", "logs/anchor/head") },
  { what: "nor shows a checkpoint", asking: sealer, call: onObject("PutObject", "anchor/checkpoint") },
  { what: "nor makes an API key", asking: sealer, call: inTable("PutItem", "tenant/a") },
  ...REMOVALS.flatMap((action): Case[] => [
    { what: `the sealer has no ${action}`, asking: sealer, call: onObject(action) },
    { what: "nor has the anchorer", asking: anchorer, call: onObject(action, "logs/anchor/head") },
    { what: "nor an administrator", asking: administrator, call: onObject(action) },
  ]),
];
