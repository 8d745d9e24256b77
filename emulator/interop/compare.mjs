// What core/COMPARISON.md says of the official JavaScript client, held against it as npm ships it. Each call meets a server of its
// own on this machine, which answers in one way and keeps the requests.
import assert from "node:assert/strict";
import http from "node:http";
import { Client } from "@upstash/workflow";

console.warn = () => {};
console.error = () => {};

/** Makes one call, and returns the requests that arrived and how the call ended. */
const call = async (respond, act) => {
  const requests = [];
  const server = http.createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    respond(request, response);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  // As many retries as by default, but without the waits.
  const retry = { retries: 5, backoff: () => 1 };
  const client = new Client({ baseUrl: `http://127.0.0.1:${server.address().port}`, token: "token", retry });
  const ended = await act(client.dlq).then((value) => ({ value }), (error) => ({ error: error.name }));
  server.closeAllConnections();
  server.close();
  return { requests, ...ended };
};
const status = (code) => (_, response) => response.writeHead(code).end("{}");
const json = (body) => (_, response) => response.end(JSON.stringify(body));
const lost = (_, response) => response.destroy();
const everything = ["DELETE /v2/workflows/dlq?count=100"];

const checks = {
  async "a lost response is asked for again, also one that starts runs"() {
    assert.equal((await call(lost, (dlq) => dlq.delete({ all: true }))).requests.length, 6);
    const { requests } = await call(lost, (dlq) => dlq.resume("a"));
    assert.deepEqual(requests, Array(6).fill("POST /v2/workflows/dlq/resume?dlqIds=a"));
  },
  async "a response is final, 429 and 5xx included"() {
    for (const code of [429, 500, 503]) {
      const { requests, error } = await call(status(code), (dlq) => dlq.delete({ all: true }));
      assert.deepEqual([requests, typeof error], [everything, "string"]);
    }
  },
  async "one call is one page"() {
    const { requests, value } = await call(json({ deleted: 0, cursor: "next" }), (dlq) => dlq.delete({ all: true }));
    assert.deepEqual([requests, value.cursor], [everything, "next"]);
  },
  async "an empty list and an empty id are refused"() {
    assert.deepEqual((await call(json({}), (dlq) => dlq.delete([]))).requests, []);
    assert.deepEqual((await call(json({}), (dlq) => dlq.delete(""))).requests, []);
  },
  async "without a type checker, a filter without a value is everything"() {
    for (const filter of [{}, { label: undefined }]) {
      assert.deepEqual((await call(json({}), (dlq) => dlq.delete({ filter }))).requests, everything);
    }
    const { requests } = await call(json({}), (dlq) => dlq.delete({ filter: { label: "" } }));
    assert.deepEqual(requests, ["DELETE /v2/workflows/dlq?label=&count=100"]);
  },
  async "ids are sent in one request, however many"() {
    const ids = Array.from({ length: 300 }, (_, n) => `1752829295505-${n}`);
    const { requests } = await call(json({ deleted: 0 }), (dlq) => dlq.delete(ids));
    assert.equal(requests.length, 1);
    assert.ok(requests[0].endsWith("dlqIds=1752829295505-299"));
  },
  async "a value with a comma is sent"() {
    const { requests } = await call(json({}), (dlq) => dlq.delete({ filter: { workflowUrl: "https://x/a,b" } }));
    assert.match(requests[0], /workflowUrl=https%3A%2F%2Fx%2Fa%2Cb/);
  },
  async "it has no method for one run, nor to cancel a failure callback"() {
    const { dlq } = new Client({ baseUrl: "http://127.0.0.1:1", token: "token" });
    const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(dlq)).filter((name) => name !== "constructor");
    assert.deepEqual(methods.sort(), ["delete", "list", "restart", "resume", "retryFailureFunction"]);
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log(`ok: ${name}`);
}
