// Zoo: what can be asked, and where it is resident now.
import { count, dollars, element, find, json, notice, table } from "./dom.js";

const POLL = 2000;
let timer = null;

function models(entries) {
  const priced = entries.some((one) => one.prices);
  const columns = [
    ["Model", (one) => one.id, "name"],
    ["Kind", (one) => one.kind],
    ["Ready", (one) => (one.ready === false ? `no: ${one.why_not ?? "not yet"}` : "yes")],
    ["Context", (one) => count(one.max_model_len), "number"],
  ];
  if (priced) columns.push(["$ per million in, out", (one) => (one.prices ? `${dollars(one.prices.input)}, ${dollars(one.prices.output)}` : ""), "number"]);
  const order = [...entries].sort((a, b) => Number(a.kind !== "expert") - Number(b.kind !== "expert"));
  return table(columns, order, `${entries.length} model ids, experts first`);
}

async function workers() {
  try {
    const found = await json("v1/workers");
    const rows = Object.entries(found.workers);
    find("workers").replaceChildren(
      element("p", { class: "meta" }, `replies ${count(found.finished)}, from the ledger ${count(found.cached)}, tokens ${count(found.tokens)}, loads ${count(found.loads)} in ${found.load_seconds.toFixed(1)} s`),
      table([["Worker", ([name]) => name, "name"], ["Holds", ([, expert]) => expert ?? "nothing yet"]], rows, `${rows.length} ready`),
      table(
        [["Expert", ([name]) => name, "name"], ["Waiting", ([, counts]) => counts[0], "number"], ["Running", ([, counts]) => counts[1], "number"]],
        Object.entries(found.requests),
        "Requests now",
      ),
    );
  } catch (error) {
    find("workers").replaceChildren(element("p", { class: "meta" }, error.message));
  }
}

/** Show it, and keep it current until the next call with false. */
export async function show(visible) {
  clearInterval(timer);
  if (!visible) return;
  try {
    find("zoo-list").replaceChildren(models((await json("v1/models")).data));
  } catch (error) {
    notice(error.message);
  }
  await workers();
  timer = setInterval(workers, POLL);
}
