// Drives the delete of src/lib.rs under Node.js, with its fetch: `node run.mjs FILE.wasm`. The environment has QSTASH_URL and
// QSTASH_TOKEN.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";

const TIMEOUT_MS = 30_000;
const MAX_BODY = 16 * 1024 * 1024;

const { instance } = await WebAssembly.instantiate(await readFile(process.argv[2]));
const { memory, dlq_buffer, dlq_start, dlq_poll, dlq_on_response } = instance.exports;

/** The buffer. Its memory moves when it grows, so it is looked up each time. */
function buffer(length) {
  const address = dlq_buffer(length);
  return new Uint8Array(memory.buffer, address, length);
}

function write(value) {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  buffer(bytes.length).set(bytes);
}

function read(length) {
  const reply = JSON.parse(new TextDecoder().decode(buffer(length)));
  if (reply?.error) throw new Error(reply.error);
  return reply;
}

/** Sends one request once. Retries and redirects are left to the core. */
async function send([url, method, headers]) {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  // Otherwise fetch asks for a compressed body, and the bound counts what arrives.
  const asked = [...headers, ["accept-encoding", "identity"]];
  const response = await fetch(url, { method, headers: asked, signal, redirect: "manual" });
  const decoder = new TextDecoder();
  let size = 0;
  let body = "";
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_BODY) throw new Error("the response is too long");
    body += decoder.decode(chunk, { stream: true });
  }
  return [response.status, [...response.headers], body + decoder.decode()];
}

const seconds = () => performance.now() / 1000;

write([process.env.QSTASH_URL, process.env.QSTASH_TOKEN]);
read(dlq_start());
let step = read(dlq_poll(seconds()));
for (; !step.outcome; step = read(dlq_poll(seconds()))) {
  if (step.send) {
    // A status of 0 says that no response arrived, and the body why.
    write(await send(step.send).catch((error) => [0, [], String(error.cause ?? error)]));
    read(dlq_on_response());
  } else {
    await setTimeout(Math.max(0, step.wait_until - seconds()) * 1000);
  }
}
console.log(`${step.outcome.totals.affected} runs deleted`);
assert.equal(step.outcome.halted, null);
assert.equal(step.outcome.totals.affected, Number(process.env.RUNS));
