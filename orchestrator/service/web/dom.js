// Elements, requests and formats. Every text becomes a text node: nothing that a model or a file says is read as HTML.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export const find = (id) => document.getElementById(id);

export function notice(text) {
  find("notice").textContent = text;
}

const KEY = "collegium-key";
export const key = () => sessionStorage.getItem(KEY) ?? "";
export function useKey(text) {
  sessionStorage.setItem(KEY, text);
}

/** A request to this service. Throws an Error with the service's own words; asks for a key where one is needed. */
export async function request(path, options = {}) {
  const headers = { ...options.headers };
  if (key()) headers.Authorization = `Bearer ${key()}`;
  if (options.body) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  if (response.status === 401) find("key-form").hidden = false;
  let text = `HTTP ${response.status}`;
  try {
    text = (await response.json()).error.message;
  } catch {
    // not one of ours: a proxy's page
  }
  throw Object.assign(new Error(text), { status: response.status });
}

export const json = async (path, options) => (await request(path, options)).json();

/** The data of each server-sent event of a response, as objects; ends at [DONE]. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("");
      if (data === "[DONE]") return;
      const name = part.split("\n").find((line) => line.startsWith("event:"))?.slice(6).trim();
      if (data) yield { name, data: JSON.parse(data) };
    }
  }
}

export const percent = (value) => (value == null ? "" : `${(100 * value).toFixed(1)}%`);
export const interval = (one) => (one?.n ? `${percent(one.value)} (${(100 * one.low).toFixed(1)} to ${(100 * one.high).toFixed(1)})` : "");
export const count = (value) => (value == null ? "" : Math.round(value).toLocaleString("en"));
export const dollars = (value) => (value == null ? "" : `$${Number(value).toPrecision(3)}`);
export const when = (seconds) => new Date(1000 * seconds).toLocaleString();

/** A table. `columns`: [head, row => cell, "number" or ""]. */
export function table(columns, rows, caption) {
  const head = element("tr", {}, ...columns.map(([name, , kind]) => element("th", { scope: "col", class: kind ?? "" }, name)));
  const body = rows.map((row) =>
    element("tr", {}, ...columns.map(([, cell, kind]) => element("td", { class: kind ?? "" }, cell(row) ?? ""))),
  );
  return element("table", {}, element("caption", { class: "soft" }, caption ?? ""), element("thead", {}, head), element("tbody", {}, ...body));
}

/** Names and values of an object, nested ones as JSON. */
export function fields(object) {
  const shown = (value) => (typeof value === "object" && value !== null ? JSON.stringify(value, null, 1) : String(value));
  return element("dl", {}, ...Object.entries(object).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, shown(value))]));
}
