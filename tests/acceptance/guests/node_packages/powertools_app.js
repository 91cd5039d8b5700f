// Routes and structured logs with Powertools for AWS Lambda (TypeScript).
import { NotFoundError, Router } from "@aws-lambda-powertools/event-handler/http";
import { Logger } from "@aws-lambda-powertools/logger";

const logger = new Logger({ serviceName: "orders" });
const app = new Router();
app.get("/powertools/orders/:id", ({ params }) => {
  logger.info("looked up", { order: params.id });
  if (params.id === "0") throw new NotFoundError("no such order");
  return { id: params.id };
});

export const handler = async (event, context) => {
  logger.addContext(context);
  return app.resolve(event, context);
};
