"use strict";
Collegium.sections.distillation = (part, data) => {
  const { labels, plot, tip } = Collegium;
  const holder = part("losses");
  const kinds = [
    ["next_token", "next token"],
    ["node", "right or wrong, by the graph"],
    ["margin", "right before wrong (margin)"],
    ["validation", "next token, held-out questions"],
  ];
  for (const [kind, told] of kinds) {
    const rows = data.flatMap(({ arm, points }) =>
      points.filter((point) => point[kind] !== null).map((point) => ({ arm, tokens: point.tokens, loss: point[kind] })),
    );
    if (!rows.length) continue;
    const panel = document.createElement("div");
    const title = document.createElement("p");
    title.textContent = told;
    const chart = document.createElement("div");
    panel.append(title, chart);
    holder.append(panel);
    const ends = d3.rollups(rows, (own) => own[own.length - 1], (row) => row.arm).map(([, row]) => row);
    const label = labels(ends.map((row) => row.arm), 12);
    // Labels at the curves' ends are pushed apart.
    const scale = d3.scaleLinear([0, d3.max(rows, (row) => row.loss)], [140, 8]);
    const levels = new Map();
    for (const row of d3.sort(ends, (row) => -row.loss)) levels.set(row, Math.max(scale(row.loss), ...[...levels.values()].map((level) => level + 12)));
    Collegium.chart(chart, (width) =>
      plot({
        width,
        height: 170,
        marginLeft: 36,
        marginRight: 70,
        marginTop: 8,
        marginBottom: 30,
        style: { fontSize: "11px" },
        x: { label: "tokens", labelAnchor: "center", labelArrow: "none", ticks: 3, tickFormat: "~s", tickSize: 0 },
        y: { label: null, ticks: 4, tickSize: 0, zero: true },
        marks: [
          Plot.gridY({ ticks: 4, stroke: "var(--rule)", strokeOpacity: 1 }),
          Plot.line(rows, { x: "tokens", y: "loss", z: "arm", stroke: "var(--ink)", strokeOpacity: 0.6, strokeWidth: 1.2 }),
          ...(ends.length <= 8 ? ends.map((row) => Plot.text([row], { x: "tokens", y: "loss", text: () => label(row.arm), dx: 4, dy: levels.get(row) - scale(row.loss), textAnchor: "start", fill: "var(--soft)" })) : []),
          tip(rows, { x: "tokens", y: "loss", title: (row) => `${row.arm}\n${row.loss.toFixed(3)} after ${Collegium.count(row.tokens)} tokens`, maxRadius: 40 }),
        ],
      }),
    );
  }
};
