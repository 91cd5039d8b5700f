// Has import find packages along NODE_PATH, as on Lambda: Node.js itself looks there for require only.
// Node.js 20 could do it in a thread only, which takes longer to start than all the rest: it does without.
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

registerHooks({ resolve });

function resolve(specifier, context, next) {
  try {
    return next(specifier, context);
  } catch (error) {
    if (!isPackage(specifier) || error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    for (const parentURL of importers()) {
      try {
        return next(specifier, { ...context, parentURL });
      } catch {
        continue;
      }
    }
    throw error;
  }
}

function isPackage(specifier) {
  return !/^([./#]|[a-z]+:)/.test(specifier);
}

// Modules, which need not exist, beside each node_modules of NODE_PATH.
function* importers() {
  for (const place of (process.env.NODE_PATH ?? "").split(":")) {
    if (place.endsWith("/node_modules")) yield pathToFileURL(`${place}/../importer.mjs`).href;
  }
}
