"use strict";
Collegium.sections.questions = async (part) => {
  const { element, saveText } = Collegium;
  const form = part("filters"), detail = part("detail"), holder = part("list");
  const { who, methods, tasks, rows } = await Collegium.unpacked("questions-data");
  const KINDS = { 1: ["right", "✓"], 0: ["wrong", "✗"], a: ["abstained", "–"], u: ["unreadable", "?"], f: ["failed", "!"] };
  const narrow = matchMedia("(max-width: 40rem)").matches;
  const mark = (kind) => element("span", { class: `mark ${KINDS[kind][0]}`, role: "img", "aria-label": KINDS[kind][0] }, KINDS[kind][1]);
  const text = (row) => (row.search ??= [row[0], row[2], row[3], ...row[6].flatMap((one) => (one ? [one[1], one[3]] : []))].join("\n").toLowerCase());
  let fitting = rows;

  const draw = (i) => {
    const [, task, question, , , , answers] = fitting[i];
    const some = answers.slice(0, methods).some(Boolean) ? answers.slice(0, methods) : answers;
    const verdicts = some.flatMap((one, j) => (one ? [element("span", {}, mark(one[0]), narrow ? "" : ` ${Collegium.short(who[j], 24)}`)] : []));
    return element("button", { type: "button", class: "row", onclick: () => open(fitting[i]) },
      element("span", { class: "task" }, Collegium.short(tasks[task], 24)), element("span", { class: "question", dir: "auto" }, question.slice(0, 300)), element("span", { class: "verdicts" }, ...verdicts));
  };
  const list = virtualList(holder, narrow ? 56 : 34, draw);

  const reply = (one, name) => element("article", { class: `reply ${KINDS[one[0]][0]}` },
    element("p", {}, mark(one[0]), " ", element("bdi", {}, name), " ", element("b", {}, element("bdi", {}, one[1] ?? KINDS[one[0]][0])),
      one[2] == null ? "" : element("small", {}, ` confidence ${(100 * one[2]).toFixed(0)}%`)),
    element("div", { class: "text", dir: "auto" }, one[3] ?? "(left out of this page, which would grow too large; the run's replies.parquet has it)"));
  const open = ([id, task, question, gold, choices, ranking, answers]) => {
    const group = (from, to) => answers.slice(from, to).flatMap((one, j) => (one ? [reply(one, who[from + j])] : []));
    const parts = [["Methods", group(0, methods)], ["Experts", group(methods)]];
    detail.replaceChildren(
      element("h3", {}, element("bdi", {}, `${tasks[task]} · ${id}`), " ", element("button", { type: "button", onclick: () => detail.replaceChildren() }, "Close")),
      element("p", { class: "text", dir: "auto" }, question),
      choices ? element("ul", { class: "choices" }, ...Object.entries(choices).map(([letter, choice]) => element("li", {}, element("b", {}, letter), " ", element("bdi", {}, choice)))) : "",
      gold == null ? "" : element("p", { class: "gold" }, "Right answer ", element("b", {}, element("bdi", {}, gold))),
      ranking.length ? element("h4", {}, "The router's ranking") : "",
      ranking.length ? element("ol", { class: "ranking" }, ...ranking.map(([expert, score, reason]) => element("li", {}, element("bdi", {}, expert), element("span", { class: "num" }, score.toFixed(2)), element("span", { class: "reason" }, reason)))) : "",
      ...parts.flatMap(([head, replies]) => (replies.length ? [element("h4", {}, head), element("div", { class: "replies" }, ...replies)] : [])),
    );
    detail.focus();
    detail.scrollIntoView({ block: "nearest" });
  };

  const filter = () => {
    const { task, who: name, kind, text: words } = Object.fromEntries(new FormData(form));
    const place = who.indexOf(name), wanted = words.trim().toLowerCase();
    const passes = (answers) => {
      const given = answers.filter(Boolean).map((one) => one[0]);
      if (kind === "split") return given.includes("1") && given.some((one) => one !== "1");
      if (place >= 0) return Boolean(answers[place]) && (!kind || answers[place][0] === kind);
      return !kind || given.includes(kind);
    };
    fitting = rows.filter((row) => (task === "" || row[1] === Number(task)) && passes(row[6]) && (!wanted || text(row).includes(wanted)));
    form.querySelector("output").textContent = `${Collegium.count(fitting.length)} of ${Collegium.count(rows.length)}`;
    list.set(fitting.length);
  };
  const records = () => fitting.map(([id, task, question, gold, , , answers]) => ({
    id, task: tasks[task], question, gold,
    ...Object.fromEntries(answers.flatMap((one, j) => (one ? [[`${who[j]}: outcome`, KINDS[one[0]][0]], [`${who[j]}: answer`, one[1]]] : []))),
  }));
  const heads = ["id", "task", "question", "gold", ...who.flatMap((name) => [`${name}: outcome`, `${name}: answer`])];
  part("csv").addEventListener("click", () => saveText("questions.csv", Collegium.csv([heads, ...records().map((one) => heads.map((head) => one[head]))])));
  part("json").addEventListener("click", () => saveText("questions.json", JSON.stringify(records(), null, 1)));
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
};
