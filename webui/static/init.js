// Shows /openapi.json of the server that sent this page. Nothing else is
// fetched: the validator badge, which would ask a public server, stays off.
"use strict";

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
