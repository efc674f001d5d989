/** Events as AWS hands them to the functions. */
import { PENDING_SHARDS, pendingPartition } from "../../service/pending.ts";

/** Of the table's stream, filtered as the event source mapping does: a record for each pending chunk of these logs. */
export const streamEvent = (logs: readonly string[], chunks = 1) => ({
  Records: logs.flatMap((log) => records(log, chunks)),
});

const records = (log: string, chunks: number) =>
  Array.from({ length: chunks }, (_, i) => ({
    eventID: `${i}`,
    eventName: "INSERT",
    eventVersion: "1.1",
    eventSource: "aws:dynamodb",
    awsRegion: "us-east-1",
    dynamodb: {
      ApproximateCreationDateTime: 1772353800,
      Keys: { pk: { S: pendingPartition(log, i % PENDING_SHARDS) }, sk: { S: `${i}` } },
      SequenceNumber: `${i}`,
      SizeBytes: 120,
      StreamViewType: "KEYS_ONLY",
    },
  }));
