"use strict";
Collegium.sections.clusters = (part, data) => {
  const holder = part("dendrogram");
  if (!holder) return;
  const { short, margin, plot } = Collegium;
  const lowest = Math.min(data.threshold, ...data.links.map((link) => link.at));
  const lines = data.links.flatMap((link) => [
    { points: [[link.x1, link.y1], [link.at, link.y1], [link.at, link.y2], [link.x2, link.y2]] },
  ]);
  Collegium.chart(holder, (width) => {
    const marginLeft = margin(data.order.map((name) => short(name, 22)), 180);
    return plot({
      width,
      height: 22 * data.order.length + 50,
      marginLeft,
      marginRight: 20,
      marginBottom: 40,
      x: { domain: [1, lowest - 0.02 * (1 - lowest)], label: "cosine", labelAnchor: "center", labelArrow: "none", tickSize: 0, ticks: 6 },
      y: { domain: [-0.5, data.order.length - 0.5], label: null, tickSize: 0, ticks: d3.range(data.order.length), tickFormat: (row) => short(data.order[row] ?? "", 22) },
      marks: [
        Plot.ruleX([data.threshold], { stroke: "var(--accent)", strokeDasharray: "3 3" }),
        ...lines.map((line) => Plot.line(line.points, { x: "0", y: "1", stroke: "var(--ink)", strokeWidth: 1.5 })),
      ],
    });
  });
};
