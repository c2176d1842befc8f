"use strict";
Collegium.sections.timeline = (part, data) => {
  const { count, short, margin, plot, tip } = Collegium;
  const seconds = (duration) => `${duration.toFixed(duration < 10 ? 2 : 0)} s`;
  const stays = data.stays.map(([worker, expert, way, load_start, load_end, end, requests, tokens]) => {
    const [name, colour] = data.experts[expert];
    return { worker: data.workers[worker], expert: name, colour, way, load_start, load_end, end, requests, tokens };
  });
  const describe = (stay) => {
    const generating = stay.end - stay.load_end;
    const rate = generating > 0 ? `, ${count(stay.tokens / generating)} tokens/s` : "";
    return [
      `${stay.expert} on ${stay.worker}`,
      `${stay.way.replace("_", " ")}: loaded in ${seconds(stay.load_end - stay.load_start)}`,
      `generating ${seconds(generating)}${rate}`,
      `${count(stay.requests)} requests, ${count(stay.tokens)} tokens`,
      `from ${seconds(stay.load_start)} to ${seconds(stay.end)}`,
    ].join("\n");
  };

  Collegium.chart(part("timeline"), (width) => {
    const marginLeft = margin(data.workers.map((name) => short(name, 18)), 130);
    const scale = (width - marginLeft - 12) / Math.max(data.end - data.start, 1e-9);
    const room = (stay) => Math.floor((scale * (stay.end - stay.load_end) - 10) / 6.4);
    const labelled = stays.filter((stay) => room(stay) >= Math.min(4, stay.expert.length));
    // The pointer finds the nearest point: a long bar gets one every 16 px, so that it is found along its length.
    const points = stays.flatMap((stay) => {
      const parts = Math.max(1, Math.round((scale * (stay.end - stay.load_start)) / 16));
      const part = (stay.end - stay.load_start) / parts;
      return d3.range(parts).map((i) => ({ ...stay, at: stay.load_start + (i + 0.5) * part }));
    });
    return plot({
      width,
      height: 40 * data.workers.length + 42,
      marginLeft,
      marginRight: 12,
      marginTop: 2,
      marginBottom: 40,
      x: { domain: [data.start, data.end], label: "seconds since the run's start", labelAnchor: "center", labelArrow: "none", tickSize: 0, ticks: width / 90 },
      y: { domain: data.workers, label: null, tickSize: 0, padding: 0.22, tickFormat: (name) => short(name, 18) },
      marks: [
        Plot.barX(data.workers, { x1: data.start, x2: data.end, y: (name) => name, fill: "var(--raised)" }),
        Plot.barX(stays, { x1: "load_end", x2: "end", y: "worker", fill: (stay) => `var(--c${stay.colour % 10})`, insetLeft: 0.5, insetRight: 0.5 }),
        Plot.barX(stays, { x1: "load_start", x2: "load_end", y: "worker", fill: "var(--load)" }),
        Plot.text(labelled, { x: (stay) => (stay.load_end + stay.end) / 2, y: "worker", text: (stay) => short(stay.expert, room(stay)), fill: "var(--ink)", fontSize: 11 }),
        tip(points, { x: "at", y: "worker", title: describe, maxRadius: 24 }),
      ],
    });
  });
};
