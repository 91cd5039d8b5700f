// A handler with middleware of middy.
import middy from "@middy/core";
import httpErrorHandler from "@middy/http-error-handler";
import httpJsonBodyParser from "@middy/http-json-body-parser";

export const handler = middy()
  .use(httpJsonBodyParser())
  .use(httpErrorHandler({ logger: false }))
  .handler(async (event, context) => ({
    statusCode: 201,
    body: JSON.stringify({ got: event.body, path: event.rawPath, function: context.functionName }),
  }));
