// Zoo: what can be asked, and where it is resident now.
import { count, dollars, element, find, interval, json, notice, table } from "./dom.js";

const POLL = 2000, KEPT = 50;
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

/** Who is right how often, by task: what the router goes by. */
async function accuracies() {
  try {
    const { experts, why_not } = await json("v1/profile");
    if (why_not) throw new Error(why_not);
    const tasks = [...new Set(Object.values(experts).flatMap(Object.keys))];
    const cell = (one) => (one ? element("span", { title: `95% interval ${interval(one)}, ${one.n} questions` }, (100 * one.value).toFixed(0)) : "");
    const columns = [["Expert", ([name]) => name, "name"], ...tasks.map((task) => [task.replaceAll("_", " "), ([, found]) => cell(found[task]), "number"])];
    find("accuracies").replaceChildren(table(columns, Object.entries(experts), "Percent right on the profile's questions"));
  } catch (error) {
    find("accuracies").replaceChildren(element("p", { class: "meta" }, error.message));
  }
}

// What each worker held since the page was opened, the newest first.
const held = new Map(), swaps = [];

function swapped(rows) {
  for (const [worker, expert] of rows) {
    const before = held.get(worker);
    held.set(worker, expert);
    if (before !== undefined && before !== expert) swaps.unshift({ at: new Date().toLocaleTimeString(), worker, before, expert });
  }
  swaps.splice(KEPT);
  if (!swaps.length) return "";
  return table([["When", (one) => one.at, "time"], ["Worker", (one) => one.worker, "name"], ["From", (one) => one.before ?? "nothing"], ["To", (one) => one.expert ?? "nothing"]], swaps, "Swaps since this page was opened");
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
      swapped(rows),
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
  await Promise.all([accuracies(), workers()]);
  timer = setInterval(workers, POLL);
}
