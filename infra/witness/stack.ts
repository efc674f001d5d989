/** A witness's stack: its record, its keys, one function and an HTTP API. It needs nothing of the anchoring service. */
import { CfnOutput, Fn, Stack, type StackProps } from "aws-cdk-lib";
import type * as kms from "aws-cdk-lib/aws-kms";
import type { Construct } from "constructs";
import { makeAlarms } from "../alarms.ts";
import { makeFunction } from "../function.ts";
import { makeHttpApi } from "../http-api.ts";
import { ED25519, type KeyType, MLDSA44, makeSigningKey } from "../keys.ts";
import { acknowledge } from "../nag.ts";
import { makeTable } from "../table.ts";
import type { WitnessConfig } from "./config.ts";
import { WITNESS } from "./function.ts";

/** The document with an entry for each alarm. */
const RUNBOOKS = "docs/witness.md";

type WitnessProps = StackProps & {
  readonly config: WitnessConfig;
  /** The function's bundle. */
  readonly folder: string;
};

export class WitnessStack extends Stack {
  constructor(scope: Construct, id: string, { config, folder, ...props }: WitnessProps) {
    super(scope, id, props);
    const { stage, region, name, alarmEmail, runbooks = RUNBOOKS } = config;
    // IAM is global, so the region is part of the name.
    const roleName = `kedge-witness-${stage}-${region}`;
    // No backups: a restored copy would not know the latest cosigned checkpoints, and a fork of one could be cosigned.
    const record = makeTable(this, "Record", config);
    acknowledge(
      record,
      "DDB3",
      "A restored record has forgotten what was cosigned since: a lost one means new keys.",
    );
    const key = (id: string, type: KeyType): kms.Key =>
      makeSigningKey(this, id, config, {
        description: `Kedge witness ${name}: cosigns checkpoints`,
        type,
        signer: roleName,
      });
    const { keyArn } = key("Key", ED25519);
    const mldsaKeyArn = config.mldsa ? key("MldsaKey", MLDSA44).keyArn : undefined;
    const { tableArn, tableName } = record;
    const witness = makeFunction(this, WITNESS, {
      config,
      resources: { tableArn, tableName, keyArn, mldsaKeyArn },
      folder,
      id: "Witness",
      description: `Kedge witness ${name}`,
      role: { roleName, description: `Kedge witness ${name}: what it may do` },
    });
    const http = makeHttpApi(
      this,
      {
        id: "Witness",
        target: witness,
        description: `Kedge witness ${name}`,
        authorization:
          "Requests are authenticated by the log's signature on the checkpoint (c2sp.org/tlog-witness).",
      },
      config,
    );
    const alarms = WITNESS.alarms(config, { function: witness, http });
    makeAlarms(this, alarms, { prefix: `kedge-witness-${stage}`, alarmEmail, runbooks });
    const keys = mldsaKeyArn === undefined ? [keyArn] : [keyArn, mldsaKeyArn];
    new CfnOutput(this, "Region", { value: region });
    new CfnOutput(this, "WitnessUrl", { value: http.apiEndpoint });
    new CfnOutput(this, "WitnessName", { value: name });
    new CfnOutput(this, "WitnessKeys", { value: Fn.join(",", keys) });
    new CfnOutput(this, "WitnessFunction", { value: witness.functionName });
  }
}
