// The routes as /openapi.json describes them.

const make = (tag, cls, text) => Object.assign(document.createElement(tag), { className: cls ?? "", textContent: text ?? "" });

const found = await (await fetch("/openapi.json")).json();
const resolve = (schema) => (schema?.$ref ? found.components.schemas[schema.$ref.split("/").pop()] : schema) ?? {};

function kind(schema) {
  if (schema.$ref) return schema.title ?? schema.$ref.split("/").pop();
  const several = schema.anyOf ?? schema.oneOf;
  if (several) return several.map(kind).join(" or ");
  if (schema.type === "array") return `list of ${schema.items ? kind(schema.items) : "anything"}`;
  const bounds = [schema.minimum, schema.maximum].every((bound) => Math.abs(bound) <= 1e6) ? ` ${schema.minimum}–${schema.maximum}` : "";
  return (schema.type ?? "anything") + bounds;
}

function table(rows) {
  const body = make("table");
  for (const [name, type, about] of rows) {
    const row = body.insertRow();
    row.append(make("th", "", name), make("td", "", type), make("td", "", about ?? ""));
  }
  return body;
}

const fields = (schema) => Object.entries(schema.properties ?? {}).map(([name, field]) => [
  (schema.required ?? []).includes(name) ? `${name} *` : name, kind(field), field.description ?? "",
]);

for (const [path, methods] of Object.entries(found.paths)) {
  for (const [method, route] of Object.entries(methods)) {
    const box = make("details");
    const head = make("summary");
    head.append(make("span", "method", method.toUpperCase()), make("span", "path", path), make("span", "about", route.description ?? route.summary));
    const inside = make("div", "inside");
    if (route.parameters) inside.append(make("h3", "note", "Parameters"), table(route.parameters.map((p) => [p.name, kind(p.schema), p.description])));
    const body = route.requestBody?.content?.["application/json"]?.schema;
    for (const part of body ? (body.oneOf ?? [body]).slice(0, 1).map(resolve) : []) {
      inside.append(make("h3", "note", "Body"), table(fields(part)));
      for (const example of part.examples ?? []) inside.append(make("pre", "", JSON.stringify(example)));
    }
    const answer = resolve(route.responses["200"]?.content?.["application/json"]?.schema);
    if (answer.properties) inside.append(make("h3", "note", "Answer"), table(fields(answer)));
    const errors = Object.entries(route.responses).filter(([status]) => status >= "400");
    if (errors.length) inside.append(make("h3", "note", "Errors"), table(errors.map(([status, error]) => [status, error.description, ""])));
    box.append(head, inside);
    document.getElementById("routes").append(box);
  }
}
document.getElementById("about").textContent = `${found.info.description} Version ${found.info.version}.`;
