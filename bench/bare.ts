/** What the API's cold start is compared with: a Lambda handler of Hono that knows one route. */
import { Hono } from "hono";
import { handle } from "hono/aws-lambda";

const app = new Hono();
app.get("/healthz", (c) => c.json({ status: "ok" }));

export const handler = handle(app);
