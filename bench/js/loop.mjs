// The loop that the official client's documentation shows. Its package is taken from the interop test's folder.
import { createRequire } from "node:module";

const require = createRequire(new URL("../../emulator/interop/package.json", import.meta.url));
const { Client } = require("@upstash/workflow");
const client = new Client({ baseUrl: process.argv[2], token: "token" });
let cursor;
do {
  const result = await client.dlq.delete({ all: true, count: 100, cursor });
  cursor = result.cursor;
} while (cursor);
