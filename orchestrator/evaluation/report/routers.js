"use strict";
Collegium.sections.routers = (part, data) => {
  const { percent, interval, labels, compact, margin, plot, tip } = Collegium;
  const names = data.routers;
  const label = labels(names, 30);
  const shades = data.ks.map((_, i) => `color-mix(in oklab, var(--accent) ${Math.round(100 * (i + 1) / data.ks.length)}%, var(--rule))`);
  const k = (row) => `${row.k}`;
  const left = margin(names.map(label), 220);
  const describe = (row) => `${row.router}, k=${row.k}\n${percent(row.value)}, 95% interval ${interval(row)}`;

  Collegium.chart(part("accuracy"), (width) =>
    plot({
      width,
      height: 30 * names.length + 70,
      marginLeft: left,
      marginRight: 24,
      marginBottom: 40,
      x: { label: "percent right", labelAnchor: "center", labelArrow: "none", tickFormat: (tick) => `${Math.round(100 * tick)}`, ticks: 6, tickSize: 0 },
      y: { domain: names, label: null, tickSize: 0, tickFormat: label },
      color: { legend: true, type: "categorical", domain: data.ks.map(String), range: shades, tickFormat: (k) => (k === "1" ? "one expert" : `k=${k}`) },
      marks: [
        Plot.gridX({ ticks: 6, stroke: "var(--rule)", strokeOpacity: 1 }),
        Plot.ruleX([data.best], { stroke: "var(--wrong)", strokeDasharray: "4 3" }),
        Plot.ruleY(data.accuracy, { y: "router", x1: "low", x2: "high", stroke: k, strokeWidth: 2, strokeOpacity: 0.5 }),
        Plot.dot(data.accuracy, { x: "value", y: "router", fill: k, r: 4.5 }),
        tip(data.accuracy, { x: "value", y: "router", title: describe, maxRadius: 40 }),
      ],
    }),
  );

  Collegium.chart(part("lost"), (width) =>
    plot({
      width,
      height: 26 * names.length + 70,
      marginLeft: left,
      marginRight: 24,
      marginBottom: 40,
      x: { label: `percent of questions, k=${data.lost_k}`, labelAnchor: "center", labelArrow: "none", tickFormat: (tick) => `${Math.round(100 * tick)}`, ticks: 6, tickSize: 0, domain: [0, 1] },
      y: { domain: names, label: null, tickSize: 0, tickFormat: label },
      color: { legend: true, domain: ["right", "nobody", "recruiting", "vote"], range: ["var(--right)", "var(--c9)", "var(--c1)", "var(--wrong)"] },
      marks: [
        Plot.barX(data.lost, { x: "share", y: "router", fill: "what", insetTop: 2, insetBottom: 2 }),
        tip(data.lost, Plot.stackX({ x: "share", y: "router", title: (row) => `${row.router}\n${row.what}: ${percent(row.share)}`, maxRadius: 20 })),
      ],
    }),
  );

  const holder = part("cost");
  if (!holder) return;
  Collegium.chart(holder, (width) =>
    plot({
      width,
      height: 340,
      marginLeft: 44,
      marginRight: 150,
      marginBottom: 42,
      x: { label: "mean cost of a question", labelAnchor: "center", labelArrow: "none", tickSize: 0, ticks: 5, tickFormat: compact, nice: true },
      y: { label: "percent right", labelArrow: "none", tickSize: 0, ticks: 5, tickFormat: (tick) => compact(100 * tick) },
      marks: [
        Plot.gridY({ ticks: 5, stroke: "var(--rule)", strokeOpacity: 1 }),
        Plot.line(data.curves, { x: "cost", y: "value", z: "router", sort: "cost", stroke: "var(--accent)", strokeOpacity: 0.55 }),
        Plot.dot(data.curves, { x: "cost", y: "value", r: 2.5, fill: "var(--accent)" }),
        tip(data.curves, { x: "cost", y: "value", title: (row) => `${row.router}\n${percent(row.value)} at ${row.cost.toPrecision(3)}`, maxRadius: 40 }),
      ],
    }),
  );
};
