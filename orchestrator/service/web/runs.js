// Runs: what was measured, one run in detail, two or more on the questions that they share.
import { count, element, fields, find, interval, json, key, notice, percent, request, table, when } from "./dom.js";

const BATCH = 200;
let runs = [];
const marked = new Set();

function list() {
  const wanted = find("runs-filter").value.toLowerCase();
  const fitting = runs.filter((run) => JSON.stringify(run).toLowerCase().includes(wanted));
  const mark = (run) => {
    const box = element("input", { type: "checkbox", "aria-label": `Compare ${run.id}`, checked: marked.has(run.id), disabled: run.pipeline !== "run" || !run.finished });
    box.addEventListener("change", () => {
      if (box.checked) marked.add(run.id);
      else marked.delete(run.id);
      find("compare").disabled = marked.size < 2;
    });
    return box;
  };
  const open = (run) => element("a", { href: `#runs/${encodeURIComponent(run.id)}` }, run.id);
  const columns = [
    ["Mark", mark],
    ["Run", open, "name"],
    ["Pipeline", (run) => run.pipeline],
    ["Task", (run) => String(run.request.task ?? "")],
    ["When", (run) => when(run.changed), "time"],
    ["State", (run) => (run.finished ? "finished" : "not finished")],
  ];
  const shown = fitting.slice(0, BATCH);
  const more = fitting.length > BATCH ? `, the newest ${BATCH} of them shown: filter to find others` : "";
  find("runs-list").replaceChildren(table(columns, shown, `${fitting.length} runs${more}`));
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

/** The questions of a run by what a method made of them, each with its text, the gold answer and the method's. */
function outcomes(id, report) {
  const names = [...report.methods.filter((one) => one.outcomes).map((one) => one.method), ...Object.keys(report.expert_outcomes ?? {})];
  if (!names.length) return null;
  const method = element("select", { "aria-label": "Method" }, ...names.map((name) => element("option", {}, name)));
  const kind = element("select", { "aria-label": "Outcome" }, ...["right", "wrong", "abstained", "unreadable", "failed"].map((word) => element("option", {}, word)));
  kind.value = "wrong";
  const search = element("input", { type: "search", "aria-label": "Search the questions", placeholder: "search" });
  const body = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Questions" });
  const columns = [
    ["Question", (row) => row.text, "name"],
    ["Task", (row) => row.task],
    ["Gold", (row) => row.gold],
    ["Answer", (row) => row.answer],
    ["Asked", (row) => row.experts.join(", ")],
    ["Tokens", (row) => count(row.tokens), "number"],
  ];
  const renew = async () => {
    try {
      const wanted = new URLSearchParams({ method: method.value, outcome: kind.value, search: search.value });
      const found = await json(`v1/runs/${encodeURIComponent(id)}/answers?${wanted}`);
      const more = found.total > found.data.length ? `, ${found.data.length} shown` : "";
      body.replaceChildren(table(columns, found.data, `${found.total} of ${report.questions.length} questions${more}`));
    } catch (error) {
      body.replaceChildren(element("p", { class: "meta" }, error.message));
    }
  };
  for (const one of [method, kind, search]) one.addEventListener("change", renew);
  renew();
  return element("div", {}, element("h3", {}, "Questions by outcome"), element("p", { class: "actions" }, method, kind, search), body);
}

/** A file of a run, saved by the browser: its address needs the key, which a link cannot send. */
async function save(id, name) {
  try {
    const blob = await (await request(`v1/runs/${encodeURIComponent(id)}/files/${encodeURIComponent(name)}`)).blob();
    const link = element("a", { href: URL.createObjectURL(blob), download: `${id}-${name}` });
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
    find("run").replaceChildren(element("h3", {}, "The same questions, paired"), element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Comparison" }, table(columns, found.data, `${found.questions} shared questions; 95% intervals of paired differences, exact McNemar test`)));
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
