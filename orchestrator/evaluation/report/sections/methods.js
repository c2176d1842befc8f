"use strict";
Collegium.sections.methods = (part, data) => {
  const { percent, interval, short, labels, margin, plot, tip } = Collegium;
  const order = data.overall.map((row) => row.method);
  // A bound such as the oracle wins nothing.
  const first = data.overall.find((row) => row.role === "method" || row.role === "reference")?.method;
  const colour = (row) => (row.method === first ? "var(--accent)" : "var(--ink)");
  const describe = (row) => `${row.method}\n${percent(row.value)}, 95% interval ${interval(row)}\n${row.n} questions`;
  const marks = (rows) => [
    Plot.ruleY(rows, { y: "method", x1: "low", x2: "high", stroke: colour, strokeWidth: 2, strokeOpacity: 0.55 }),
    Plot.dot(rows, { x: "value", y: "method", fill: colour, r: 4.5 }),
    tip(rows, { x: "value", y: "method", title: describe, maxRadius: 60 }),
  ];
  const accuracy = { domain: [0, 1], tickFormat: (tick) => `${100 * tick}`, ticks: 5, tickSize: 0 };

  const overall = (width) => {
    const wide = width > 560;
    const length = width > 800 ? 50 : wide ? 34 : 20;
    const experts = data.experts.length ? ["each expert"] : [];
    const names = [...order, ...experts];
    const label = labels(names, length);
    return plot({
      width,
      height: 34 * names.length + 46,
      marginLeft: margin(names.map(label), width > 800 ? 320 : 240),
      marginRight: wide ? 150 : 62,
      marginBottom: 40,
      x: { ...accuracy, label: "percent right", labelAnchor: "center", labelArrow: "none" },
      y: { domain: names, label: null, tickSize: 0, tickFormat: label },
      marks: [
        Plot.gridX({ ticks: 5, stroke: "var(--rule)", strokeOpacity: 1 }),
        Plot.tickX(data.experts, { x: "value", y: () => "each expert", stroke: "var(--soft)", strokeWidth: 1.5, insetTop: 9, insetBottom: 9 }),
        tip(data.experts, { x: "value", y: () => "each expert", title: (row) => `${row.expert}\n${percent(row.value)}`, maxRadius: 12 }),
        Plot.text(data.overall, { y: "method", frameAnchor: "right", textAnchor: "start", dx: 14, text: (row) => percent(row.value), fontWeight: 600, fill: colour, fontVariant: "tabular-nums" }),
        wide ? Plot.text(data.overall, { y: "method", frameAnchor: "right", textAnchor: "start", dx: 70, text: interval, fill: "var(--soft)", fontVariant: "tabular-nums" }) : null,
        ...marks(data.overall),
      ],
    });
  };

  // Points of a cost curve are no methods of their own; in the small charts they would crowd out the methods.
  const kept = data.overall.filter((row) => row.role !== "point").map((row) => row.method);
  const label = (width) => labels(kept, width > 280 ? 20 : 12);
  const task = (rows) => (width) =>
    plot({
      width,
      height: 22 * kept.length + 24,
      marginLeft: margin(kept.map(label(width)), 140),
      marginRight: 34,
      marginTop: 4,
      marginBottom: 20,
      style: { fontSize: "11px" },
      x: { ...accuracy, ticks: 2, label: null },
      y: { domain: kept, label: null, tickSize: 0, tickFormat: label(width) },
      marks: [
        Plot.gridX({ ticks: 2, stroke: "var(--rule)", strokeOpacity: 1 }),
        Plot.text(rows, { y: "method", frameAnchor: "right", textAnchor: "start", dx: 8, text: (row) => percent(row.value, 0), fill: colour, fontVariant: "tabular-nums" }),
        ...marks(rows),
      ],
    });

  Collegium.chart(part("overall"), overall);
  const multiples = part("tasks");
  if (!multiples) return;
  for (const name of data.tasks) {
    const panel = document.createElement("div");
    const title = document.createElement("p");
    title.textContent = short(name, 60);
    const holder = document.createElement("div");
    panel.append(title, holder);
    multiples.append(panel);
    Collegium.chart(holder, task(data.by_task.filter((row) => row.task === name && kept.includes(row.method))));
  }
};
