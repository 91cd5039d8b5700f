// A generic process of Node.js: loads AWS's client, waits for its function, then runs the client's own entry as
// a plain start does. Arguments: the entry, then what can be loaded before the function is known.
// The descriptors and the assignment are described in worker/sandbox/generic_process.py.
import { closeSync, readFileSync, writeSync } from "node:fs";
import "node:assert";
import "node:async_hooks";
import "node:crypto";
import "node:https";
import "node:module";
import "node:worker_threads";
import "node:zlib";

const ASSIGNMENT = 3;
const READINESS = 4;

const [entry, ...preloaded] = process.argv.slice(2);
for (const file of preloaded) await import(file);
writeSync(READINESS, "r");

const assignment = readFileSync(ASSIGNMENT, "utf8");
if (assignment === "") process.exit(0);
writeSync(READINESS, "a");
closeSync(READINESS);
closeSync(ASSIGNMENT);
for (const name of Object.keys(process.env)) delete process.env[name];
for (const variable of assignment.split("\0").slice(0, -1)) {
  const end = variable.indexOf("=");
  process.env[variable.slice(0, end)] = variable.slice(end + 1);
}
process.chdir(process.env.LAMBDA_TASK_ROOT);
process.argv.splice(1, process.argv.length, entry, process.env._HANDLER);
await import(entry);
