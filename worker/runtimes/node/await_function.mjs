// A generic process of Node.js: loads AWS's client, waits for its function, then runs the client's own entry as
// a plain start does. Arguments: the entry, then what can be loaded before the function is known.
// The descriptors and the assignment are described in worker/sandbox/generic_process.py.
import { closeSync, readFileSync, writeSync } from "node:fs";
import "node:assert";
import "node:async_hooks";
import "node:crypto";
import "node:https";
import { createRequire } from "node:module";
import "node:worker_threads";
import "node:zlib";

const ASSIGNMENT = 3;
const READINESS = 4;

const [entry, ...preloaded] = process.argv.slice(2);
for (const file of preloaded) await import(file);
createRequire(import.meta.url)("./nothing.cjs");
void [process.stdout, process.stderr]; // made when first asked for
writeSync(READINESS, "r");

const assignment = readFileSync(ASSIGNMENT, "utf8");
if (assignment === "") process.exit(0);
writeSync(READINESS, "a");
closeSync(READINESS);
closeSync(ASSIGNMENT);
const variables = new Map(assignment.split("\0").slice(0, -1).map(pair));
for (const name of Object.keys(process.env)) if (!variables.has(name)) delete process.env[name];
for (const [name, value] of variables) {
  // A new TZ makes Node.js look for the time zone, which takes longer than all the rest.
  if (process.env[name] !== value) process.env[name] = value;
}
process.chdir(process.env.LAMBDA_TASK_ROOT);
process.argv.splice(1, process.argv.length, entry, process.env._HANDLER);
await import(entry);

function pair(variable) {
  const end = variable.indexOf("=");
  return [variable.slice(0, end), variable.slice(end + 1)];
}
