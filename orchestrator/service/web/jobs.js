// Jobs: forms from the pipelines' own schemas; what runs is followed and can be cancelled.
import { element, fields, find, json, notice, table, when } from "./dom.js";

let pipelines = [];
let timer = null;

/** The field of one property of a schema; null for what a form cannot ask. */
function field(name, property) {
  const types = (property.anyOf ?? [property]).map((one) => one.type);
  const words = property.description ?? "";
  let input;
  if (property.enum) input = element("select", { name }, element("option", { value: "" }, "default"), ...property.enum.map((one) => element("option", {}, one)));
  else if (types.includes("boolean")) input = element("select", { name }, ...["default", "true", "false"].map((one) => element("option", { value: one === "default" ? "" : one }, one)));
  else if (types.some((type) => type === "integer" || type === "number")) input = element("input", { name, type: "number", step: types.includes("integer") ? "1" : "any", placeholder: property.default ?? "" });
  else if (types.includes("array")) input = element("input", { name, placeholder: Array.isArray(property.default) ? property.default.join(",") : "several with commas" });
  else if (types.includes("string")) input = element("input", { name, placeholder: property.default ?? "" });
  else return null;
  input.dataset.type = types.find((type) => type && type !== "null") ?? "string";
  return element("label", { title: words }, name, input, element("small", {}, words));
}

function form() {
  const chosen = pipelines.find((one) => one.id === find("pipeline").value);
  const made = Object.entries(chosen?.schema.properties ?? {}).map(([name, property]) => field(name, property));
  find("fields").replaceChildren(...made.filter(Boolean));
}

/** What the form says, by the types of the schema; empty fields are left out. */
function asked() {
  const found = {};
  for (const input of find("fields").querySelectorAll("input, select")) {
    const text = input.value.trim();
    if (!text) continue;
    const type = input.dataset.type;
    if (type === "integer" || type === "number") found[input.name] = Number(text);
    else if (type === "boolean") found[input.name] = text === "true";
    else if (type === "array") found[input.name] = text.split(",").map((one) => one.trim());
    else found[input.name] = text;
  }
  return found;
}

async function submit(event) {
  event.preventDefault();
  try {
    const body = JSON.stringify({ pipeline: find("pipeline").value, request: asked() });
    const job = await json("v1/jobs", { method: "POST", body });
    notice("");
    location.hash = `#jobs/${job.id}`;
    await renew();
  } catch (error) {
    notice(error.message);
  }
}

async function renew() {
  const jobs = (await json("v1/jobs")).data;
  const cancel = (job) => {
    if (!["queued", "running"].includes(job.status)) return "";
    const button = element("button", { type: "button" }, "Cancel");
    button.addEventListener("click", () => json(`v1/jobs/${job.id}/cancel`, { method: "POST" }).then(renew, (error) => notice(error.message)));
    return button;
  };
  const columns = [
    ["Job", (job) => element("a", { href: `#jobs/${job.id}` }, job.id), "name"],
    ["Pipeline", (job) => job.pipeline],
    ["Status", (job) => job.status],
    ["Replies", (job) => job.replies ?? "", "number"],
    ["When", (job) => (job.created ? when(job.created) : ""), "time"],
    ["Action", cancel],
  ];
  find("jobs-list").replaceChildren(table(columns, jobs, `${jobs.length} jobs`));
  const id = location.hash.split("/")[1];
  const job = jobs.find((one) => one.id === id);
  if (job) await detail(job);
}

async function detail(job) {
  const log = (await json(`v1/jobs/${job.id}/logs`)).data ?? [];
  find("job").replaceChildren(
    element("h3", {}, job.id),
    job.error ? element("p", { class: "error" }, job.error) : "",
    fields(job.request),
    element("h3", {}, "Log"),
    element("div", { class: "text soft" }, log.map((line) => line.text).join("\n")),
  );
}

/** Show it, and keep it current until the next call with false. */
export async function show(visible) {
  clearInterval(timer);
  if (!visible) return;
  try {
    if (!pipelines.length) {
      pipelines = (await json("v1/pipelines")).data;
      find("pipeline").replaceChildren(...pipelines.map((one) => element("option", {}, one.id)));
      find("pipeline").onchange = form;
      find("job-form").onsubmit = submit;
      form();
    }
    await renew();
    timer = setInterval(() => renew().catch((error) => notice(error.message)), 2000);
  } catch (error) {
    notice(error.message);
  }
}
