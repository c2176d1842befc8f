"use strict";
Collegium.sections.cost = (part, data) => {
  const holder = part("cost");
  if (!holder) return;
  const { percent, interval, count, compact, labels, plot, tip } = Collegium;
  const rows = d3.sort(data, (row) => row.amount, (row) => -row.value);
  // A bound such as the oracle is no method: the line does not lead to it.
  const methods = rows.filter((row) => row.role !== "bound");
  const frontier = methods.filter((row, i) => methods.slice(0, i).every((cheaper) => cheaper.value < row.value));
  const efficient = new Set(frontier);
  const [least, most] = d3.extent(rows, (row) => row.amount);
  const log = most > 12 * least;
  const top = Math.min(1, 0.05 + d3.max(rows, (row) => row.high));
  const describe = (row) => `${row.method}\n${percent(row.value)}, 95% interval ${interval(row)}\n${/dollars/.test(row.unit) ? row.amount.toPrecision(3) : count(row.amount)} ${row.unit}`;

  Collegium.chart(holder, (width) => {
    const height = Math.min(360, Math.max(260, width * 0.42));
    const domain = log ? [least / 1.4, most * 1.4] : [0, most * 1.08];
    const x = (log ? d3.scaleLog() : d3.scaleLinear()).domain(domain).range([44, width - 20]);
    const y = d3.scaleLinear().domain([0, top]).range([height - 42, 26]);
    const left = (row) => x(row.amount) > width / 2;
    const colour = (row) => (efficient.has(row) ? "var(--accent)" : "var(--ink)");

    // A label whose box would lie on another one's is pushed down. Points that only stand for another method's cost lie
    // on the curve of samples, and have none.
    const placed = [];
    const named = rows.filter((row) => !/^self-consistency, (calls|tokens) of/.test(row.method));
    const brief = (row) => row.method.replace(/^self-consistency (?=x\d)/, "");
    const label = labels(named.map(brief), 22);
    const texts = d3.sort(named, (row) => -row.value).map((row) => {
      const length = 7 * label(brief(row)).length + 9;
      const from = left(row) ? x(row.amount) - length : x(row.amount);
      let level = y(row.value);
      const covers = (other) => Math.abs(other.y - level) < 13 && other.from < from + length && from < other.from + other.length;
      while (placed.some(covers)) level += 2;
      placed.push({ from, length, y: level });
      return Plot.text([row], {
        x: "amount",
        y: "value",
        text: () => label(brief(row)),
        dx: left(row) ? -9 : 9,
        dy: level - y(row.value),
        textAnchor: left(row) ? "end" : "start",
        fill: colour(row),
        stroke: "var(--paper)",
        strokeWidth: 4,
      });
    });
    return plot({
      width,
      height,
      marginLeft: 44,
      marginRight: 20,
      marginBottom: 42,
      marginTop: 26,
      x: { type: log ? "log" : "linear", domain, label: `${rows[0].unit}${log ? ", logarithmic" : ""}`, labelAnchor: "center", labelArrow: "none", tickSize: 0, ticks: width < 500 ? 4 : 8, tickFormat: compact },
      y: { domain: [0, top], tickFormat: (tick) => `${Math.round(100 * tick)}`, label: "percent right", labelArrow: "none", tickSize: 0, ticks: 5 },
      marks: [
        Plot.gridY({ ticks: 5, stroke: "var(--rule)", strokeOpacity: 1 }),
        Plot.line(frontier, { x: "amount", y: "value", curve: "step-after", stroke: "var(--accent)", strokeOpacity: 0.45, strokeWidth: 1.5 }),
        Plot.ruleX(rows, { x: "amount", y1: "low", y2: "high", stroke: colour, strokeOpacity: 0.45, strokeWidth: 2 }),
        Plot.dot(rows, { x: "amount", y: "value", fill: (row) => (efficient.has(row) ? "var(--accent)" : "var(--paper)"), stroke: colour, r: 4.5 }),
        ...texts,
        tip(rows, { x: "amount", y: "value", title: describe, maxRadius: 50 }),
      ],
    });
  });
};
