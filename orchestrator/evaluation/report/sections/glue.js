"use strict";
Collegium.sections.glue = (part, data) => {
  const holder = part("searches");
  if (!holder) return;
  const { percent, plot, tip } = Collegium;
  const rows = data.flatMap((search) => search.trials.map((trial) => ({ ...trial, search: search.name, full: trial.questions === search.full })));
  const best = data.flatMap((search) => {
    let top = 0;
    return search.trials.map((trial) => {
      if (trial.best || (trial.questions === search.full && trial.score > top)) top = Math.max(top, trial.score);
      return { number: trial.number, score: top, search: search.name };
    });
  });
  const describe = (row) => `${row.search}, candidate ${row.number} (${row.stage})\n${percent(row.score)} of ${row.questions} questions\n${row.merge}`;
  Collegium.chart(holder, (width) =>
    plot({
      width,
      height: 260,
      marginLeft: 44,
      marginBottom: 42,
      x: { label: "candidate", labelAnchor: "center", labelArrow: "none", tickSize: 0, ticks: Math.min(8, d3.max(rows, (row) => row.number)), tickFormat: "d" },
      y: { domain: [0, Math.min(1, 0.1 + d3.max(rows, (row) => row.score))], label: "percent right (hollow: on a sample)", labelArrow: "none", tickSize: 0, ticks: 5, tickFormat: (tick) => `${Math.round(100 * tick)}` },
      marks: [
        Plot.gridY({ ticks: 5, stroke: "var(--rule)", strokeOpacity: 1 }),
        Plot.line(best, { x: "number", y: "score", z: "search", curve: "step-after", stroke: "var(--accent)", strokeOpacity: 0.6, strokeWidth: 1.5 }),
        Plot.dot(rows, { x: "number", y: "score", r: 3.5, stroke: "var(--ink)", fill: (row) => (row.full ? "var(--ink)" : "var(--paper)") }),
        tip(rows, { x: "number", y: "score", title: describe, maxRadius: 50 }),
      ],
    }),
  );
};
