// An Express application on Lambda.
import serverlessExpress from "@codegenie/serverless-express";
import express from "express";

const app = express();
app.use(express.json());
app.get("/express/orders/:id", (request, response) => {
  response.cookie("seen", "yes").json({ id: request.params.id, tags: request.query.tag });
});
app.post("/express/orders", (request, response) => response.status(201).json({ got: request.body }));
app.get("/express/image", (request, response) => {
  response.type("image/png").send(Buffer.from([...Array(256).keys()]));
});
app.use((request, response) => response.status(404).json({ nothing: request.path }));

export const handler = serverlessExpress({ app, binarySettings: { contentTypes: ["image/*"] } });
