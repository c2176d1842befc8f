// Runs: what was measured, one run in detail, two or more on the questions that they share.
import { count, element, fields, find, interval, json, key, notice, percent, request, table, when } from "./dom.js";

const BATCH = 200;
const NARROW = matchMedia("(max-width: 48rem)").matches;
let runs = [], fitting = [], shown = null;
const marked = new Set();

function row(run) {
  const box = element("input", { type: "checkbox", "aria-label": `Compare ${run.id}`, disabled: run.pipeline !== "run" || !run.finished });
  box.checked = marked.has(run.id);
  box.addEventListener("change", () => {
    if (box.checked) marked.add(run.id);
    else marked.delete(run.id);
    find("compare").disabled = marked.size < 2;
  });
  const open = element("a", { href: `#runs/${encodeURIComponent(run.id)}` }, run.id);
  const cells = [run.pipeline, String(run.request.task ?? ""), when(run.changed), run.finished ? "finished" : "not finished"];
  return element("div", { class: "row run" }, box, open, ...cells.map((text) => element("span", {}, text)));
}

function list() {
  const wanted = find("runs-filter").value.toLowerCase();
  fitting = runs.filter((run) => JSON.stringify(run).toLowerCase().includes(wanted));
  shown ??= virtualList(find("runs-list"), NARROW ? 48 : 32, (i) => row(fitting[i]));
  shown.set(fitting.length);
  find("runs-list").hidden = !runs.length;
  find("runs-count").textContent = runs.length ? `${count(fitting.length)} of ${count(runs.length)} runs` : "No runs yet: a job makes one, or the command: collegium run --task questions.csv";
}

function methods(report) {
  const columns = [
    ["Method", (one) => one.method, "name"],
    ["Right", (one) => interval(one.overall), "number"],
    ["Questions", (one) => count(one.overall.n), "number"],
    ["Failed", (one) => count(one.counts?.failed), "number"],
    ["Tokens per question", (one) => (one.overall.n ? count((one.cost.prompt_tokens + one.cost.completion_tokens) / one.overall.n) : ""), "number"],
    ["Note", (one) => one.note],
  ];
  const ordered = [...report.methods].sort((a, b) => b.overall.value - a.overall.value);
  return table(columns, ordered, `split ${report.split}${report.fitted_on ? `, fitted on ${report.fitted_on}` : ""}, seed ${report.seed}`);
}

/** The questions of a run by what a method made of them, each with its text, the gold answer and the method's. Those in
 * sight are fetched, a batch at a time. */
function outcomes(id, report) {
  const names = [...report.methods.filter((one) => one.outcomes).map((one) => one.method), ...Object.keys(report.expert_outcomes ?? {})];
  if (!names.length) return null;
  const method = element("select", { "aria-label": "Method" }, ...names.map((name) => element("option", {}, name)));
  const kinds = ["any outcome", "right", "wrong", "abstained", "unreadable", "failed"];
  const kind = element("select", { "aria-label": "Outcome" }, ...kinds.map((word, i) => element("option", { value: i ? word : "" }, word)));
  const search = element("input", { type: "search", "aria-label": "Search the questions", placeholder: "search" });
  const total = element("p", { class: "soft", "aria-live": "polite" });
  const body = element("div", { tabindex: "0", role: "region", "aria-label": "Questions" });
  const detail = element("div", { class: "detail", "aria-live": "polite" });
  let batches = new Map();
  const fetchBatch = async (number) => {
    const own = batches;
    own.set(number, null);
    const wanted = new URLSearchParams({ method: method.value, outcome: kind.value, search: search.value, limit: BATCH, offset: number * BATCH });
    try {
      const found = await json(`v1/runs/${encodeURIComponent(id)}/answers?${wanted}`);
      if (own !== batches) return;
      own.set(number, found.data);
      total.textContent = `${count(found.total)} of ${count(report.questions.length)} questions`;
      if (number) rows.renew();
      else rows.set(found.total);
    } catch (error) {
      own.delete(number);
      total.textContent = error.message;
    }
  };
  const open = (one) => detail.replaceChildren(
    element("h4", {}, `${one.task} · ${one.question}`),
    fields({ question: one.text, gold: one.gold ?? "none", answer: one.answer ?? "none", outcome: one.outcome, asked: one.experts.join(", "), tokens: count(one.tokens) }),
  );
  const draw = (i) => {
    const number = Math.floor(i / BATCH), one = batches.get(number)?.[i % BATCH];
    if (!batches.has(number)) fetchBatch(number);
    if (!one) return element("div", { class: "row soft" }, "...");
    return element("button", { type: "button", class: "row answer", onclick: () => open(one) }, ...[one.text, one.gold ?? "", one.answer ?? "none", one.outcome].map((text) => element("span", {}, text.slice(0, 300))));
  };
  const heads = element("div", { class: "row answer heads", "aria-hidden": "true" }, ...["Question", "Gold", "Answer", "Outcome"].map((text) => element("span", {}, text)));
  const rows = virtualList(body, NARROW ? 48 : 32, draw);
  const renew = () => {
    batches = new Map();
    detail.replaceChildren();
    fetchBatch(0);
  };
  for (const one of [method, kind, search]) one.addEventListener("change", renew);
  renew();
  return element("div", {}, element("h3", {}, "Questions by outcome"), element("p", { class: "actions" }, method, kind, search), total, heads, body, detail);
}

/** A file of a run, saved by the browser: its address needs the key, which a link cannot send. */
const save = (id, name) => saved(`v1/runs/${encodeURIComponent(id)}/files/${encodeURIComponent(name)}`, `${id}-${name}`);

async function saved(address, name) {
  try {
    const blob = await (await request(address)).blob();
    const link = element("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (error) {
    notice(error.message);
  }
}

async function open(id) {
  const one = await json(`v1/runs/${encodeURIComponent(id)}`);
  const files = one.files.map((name) => {
    const button = element("button", { type: "button" }, name);
    button.addEventListener("click", () => save(id, name));
    return button;
  });
  const whole = one.files.includes("report.html") && !key() ? element("a", { href: `v1/runs/${encodeURIComponent(id)}/files/report.html`, target: "_blank", rel: "noopener" }, "the whole report") : null;
  const report = one.report;
  find("run").replaceChildren(
    element("h3", {}, report?.title ?? id),
    report ? element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Methods" }, methods(report)) : "",
    report ? outcomes(id, report) ?? "" : "",
    element("p", { class: "actions" }, "Files: ", ...files, whole),
    element("details", {}, element("summary", {}, "What was asked for"), fields(one.request)),
  );
}

async function compare() {
  const body = { runs: [...marked] };
  try {
    const found = await json("v1/runs/compare", { method: "POST", body: JSON.stringify(body) });
    const columns = [
      ["First", (one) => `${one.first.run}: ${one.first.method}`, "name"],
      ["Right", (one) => percent(one.first.value), "number"],
      ["Second", (one) => `${one.second.run}: ${one.second.method}`, "name"],
      ["Right", (one) => percent(one.second.value), "number"],
      ["Difference", (one) => `${(100 * one.difference.value).toFixed(1)} (${(100 * one.difference.low).toFixed(1)} to ${(100 * one.difference.high).toFixed(1)})`, "number"],
      ["p", (one) => one.p.toPrecision(2), "number"],
      ["Questions", (one) => count(one.difference.n), "number"],
    ];
    const address = `v1/runs/compare/report.html?${new URLSearchParams([...marked].map((id) => ["run", id]))}`;
    const page = key()
      ? element("button", { type: "button", onclick: () => saved(address, "comparison.html") }, "Save the whole report")
      : element("a", { href: address, target: "_blank", rel: "noopener" }, "the whole report");
    find("run").replaceChildren(element("h3", {}, "The same questions, paired"), element("p", { class: "actions" }, page), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Comparison" }, table(columns, found.data, `${found.questions} shared questions; 95% intervals of paired differences, exact McNemar test`)));
  } catch (error) {
    notice(error.message);
  }
}

/** Show the list, and the run that the address names. */
export async function show(id) {
  notice("");
  try {
    runs = (await json("v1/runs")).data;
    list();
    find("runs-filter").oninput = list;
    find("compare").onclick = compare;
    if (id) await open(id);
  } catch (error) {
    notice(error.message);
  }
}
