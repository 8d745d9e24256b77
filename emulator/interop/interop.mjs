// Calls each DLQ method of the official JavaScript client, as npm ships it, against the emulator at QSTASH_URL.
import assert from "node:assert/strict";
import { Client } from "@upstash/workflow";

const client = new Client({ baseUrl: process.env.QSTASH_URL, token: process.env.QSTASH_TOKEN, retry: false });
const { dlq } = client;

const list = async (filter) => {
  const messages = [];
  let cursor;
  do {
    const page = await dlq.list({ count: 100, cursor, filter });
    messages.push(...page.messages);
    cursor = page.cursor;
  } while (cursor);
  return messages;
};
const ids = (messages) => messages.map((message) => message.dlqId);
const has = (label) => (message) => (message.labels ?? []).includes(label);

/** Runs `act`, and checks that exactly `expected` are gone after it. */
const removes = async (expected, act) => {
  const before = ids(await list());
  const result = await act();
  const after = new Set(ids(await list()));
  assert.deepEqual(before.filter((id) => !after.has(id)).sort(), [...expected].sort());
  return result;
};

const checks = {
  async "list pages through everything, and filters"() {
    const all = await list();
    assert.equal(new Set(ids(all)).size, Number(process.env.RUNS));
    assert.deepEqual(ids(await list({ label: "nightly" })), ids(all.filter(has("nightly"))));
    const { url } = all[0];
    assert.deepEqual(ids(await list({ url })), ids(all.filter((message) => message.url === url)));
    const responseStatus = all[0].responseStatus;
    const same = all.filter((message) => message.responseStatus === responseStatus);
    assert.deepEqual(ids(await list({ responseStatus })), ids(same));
    const middle = all[Math.floor(all.length / 2)].createdAt;
    const window = all.filter((message) => message.createdAt <= middle);
    assert.deepEqual(ids(await list({ toDate: middle })).sort(), ids(window).sort());
    const failed = all.filter((message) => message.failureFunctionState === "CALLBACK_FAIL");
    assert.deepEqual(ids(await list({ failureFunctionState: "CALLBACK_FAIL" })), ids(failed));
  },
  async "delete by id, ids, filter"() {
    const [a, b, c] = ids(await list());
    assert.equal((await removes([a], () => dlq.delete(a))).deleted, 1);
    assert.equal((await removes([b, c], () => dlq.delete([b, c]))).deleted, 2);
    assert.equal((await dlq.delete([a, b])).deleted, 0);
    const matching = ids((await list()).filter(has("red & white")));
    assert.ok(matching.length > 0);
    const filter = { label: "red & white" };
    const result = await removes(matching, () => dlq.delete({ filter, count: 1000 }));
    assert.equal(result.deleted, matching.length);
    assert.equal(result.cursor, undefined);
    assert.deepEqual(await dlq.delete([]), { deleted: 0 });
  },
  async "resume and restart in every form"() {
    for (const verb of ["resume", "restart"]) {
      const start = (...args) => dlq[verb](...args);
      const [a, b, c, d, e, f] = ids(await list());
      const options = { retries: 5, flowControl: { key: "interop", parallelism: 3, rate: 10, period: "1m" } };
      assert.equal((await removes([a], () => start(a, options))).workflowRuns.length, 1);
      assert.equal((await removes([b, c], () => start([b, c]))).workflowRuns.length, 2);
      const one = await removes([d], () => start({ dlqId: d, retries: 1 }));
      assert.match(one.workflowRunId, /^wfr_/);
      assert.equal((await removes([e, f], () => start({ dlqId: [e, f], ...options }))).length, 2);
      await assert.rejects(start("nobody-0"), /not found/);
      const label = verb === "resume" ? "urgent" : "größe";
      const matching = ids((await list()).filter(has(label)));
      assert.ok(matching.length > 0);
      const started = await removes(matching, async () => {
        const runs = [];
        let cursor;
        do {
          const page = await start({ filter: { label }, count: 5, cursor }, options);
          runs.push(...page.workflowRuns);
          cursor = page.cursor;
        } while (cursor);
        return runs;
      });
      assert.equal(new Set(started.map((run) => run.workflowRunId)).size, matching.length);
    }
  },
  async "retry of a failure callback"() {
    const failed = (await list()).find((message) => message.failureFunctionState === "CALLBACK_FAIL");
    const result = await dlq.retryFailureFunction({ dlqId: failed.dlqId });
    assert.equal(result.workflowRunId, failed.workflowRunId);
    const after = (await list()).find((message) => message.dlqId === failed.dlqId);
    assert.equal(after.failureFunctionState, "CALLBACK_INPROGRESS");
    await assert.rejects(dlq.retryFailureFunction({ dlqId: failed.dlqId }));
  },
  async "resume, restart and delete of everything, page after page"() {
    const page = await dlq.restart({ all: true, count: 7 });
    assert.equal(page.workflowRuns.length, 7);
    assert.ok(page.cursor);
    assert.equal((await dlq.resume({ all: true, count: 7 })).workflowRuns.length, 7);
    const left = (await list()).length;
    let deleted = 0;
    let cursor;
    do {
      const result = await dlq.delete({ all: true, count: 50, cursor });
      deleted += result.deleted;
      cursor = result.cursor;
    } while (cursor);
    assert.equal(deleted, left);
    assert.deepEqual(await list(), []);
  },
};

let failures = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok - ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`not ok - ${name}\n${error.stack}`);
  }
}
const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(dlq)).filter((name) => name !== "constructor");
const called = ["list", "resume", "restart", "retryFailureFunction", "delete"];
assert.deepEqual(methods.sort(), called.sort(), "the client has a DLQ method that is not called here");
process.exitCode = failures ? 1 : 0;
