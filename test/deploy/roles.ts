/** Negative controls: a role without one statement of its own policies. */
import { z } from "zod";
import type { Emulator } from "./emulator.ts";

const documentSchema = z.looseObject({
  Statement: z.array(z.looseObject({ Action: z.union([z.string(), z.array(z.string())]) })),
});
const policySchema = z.object({ PolicyDocument: z.union([z.string(), z.looseObject({})]) });

/** Runs `act` while no statement of the role's inline policies allows this action, and puts them back. */
export async function withoutStatement(
  { aws }: Emulator,
  RoleName: string,
  action: string,
  act: () => Promise<void>,
): Promise<void> {
  const PolicyName = "kedge";
  const { PolicyDocument } = policySchema.parse(
    await aws("iam", "get_role_policy", { RoleName, PolicyName }),
  );
  const document = documentSchema.parse(
    typeof PolicyDocument === "string" ? JSON.parse(PolicyDocument) : PolicyDocument,
  );
  const rest = document.Statement.filter(({ Action }) => ![Action].flat().includes(action));
  if (rest.length === document.Statement.length)
    throw new Error(`${RoleName} has no statement with ${action}`);
  const put = (policy: object) =>
    aws("iam", "put_role_policy", { RoleName, PolicyName, PolicyDocument: JSON.stringify(policy) });
  await put({ ...document, Statement: rest });
  try {
    await act();
  } finally {
    await put(document);
  }
}
