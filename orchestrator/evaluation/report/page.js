// What every section shares. A section adds `Collegium.sections.NAME = (root, data) => ...`; whatever comes from
// the run reaches the page through textContent or Plot's text nodes only, never as markup.
"use strict";
const Collegium = { sections: {} };

Collegium.percent = (fraction, digits = 1) => `${(100 * fraction).toFixed(digits)}%`;
Collegium.interval = (row) => `${(100 * row.low).toFixed(1)}–${(100 * row.high).toFixed(1)}`;
Collegium.count = d3.format(",.0f");
Collegium.short = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

// Labels of at most `length` characters that stay distinct: name -> label. Where several long names begin alike, what
// they have in common is left out; names that would still be cut to the same words are numbered.
Collegium.labels = (names, length) => {
  const { short } = Collegium;
  const found = new Map(names.map((name) => [name, short(name, length)]));
  const cut = [...new Set(names)].filter((name) => name.length > length);
  for (const family of d3.group(cut, (name) => name.split(/[\s,]/)[0]).values()) {
    if (family.length < 2) continue;
    let common = 0;
    while (family.every((name) => name[common] !== undefined && name[common] === family[0][common])) common++;
    const start = family[0].lastIndexOf(" ", common - 1) + 1;
    if (start) family.forEach((name) => found.set(name, short(`…${name.slice(start)}`, length)));
  }
  for (const same of d3.group(new Set(names), (name) => found.get(name)).values())
    if (same.length > 1) same.forEach((name, i) => found.set(name, `${short(name, length - 3)} ${i + 1}`));
  return (name) => found.get(name) ?? short(name, length);
};

// Ticks of an axis whose values may all be the same: never more digits than tell them apart.
Collegium.compact = (tick) => (Math.abs(tick) >= 1000 ? d3.format("~s")(tick) : String(Number(tick.toPrecision(3))));

// Room for the longest of `names` in 12 px type, within limits.
Collegium.margin = (names, most) => Math.min(most, 14 + 6.6 * Math.max(0, ...names.map((name) => name.length)));

// Draw into `holder` at its width, and again whenever that changes.
Collegium.chart = (holder, draw) => {
  let drawn = 0;
  const update = () => {
    const width = Math.floor(holder.clientWidth);
    if (width === 0 || width === drawn) return;
    drawn = width;
    holder.replaceChildren(draw(width));
  };
  update();
  // Drawing changes heights, which must not happen while the observer's callback runs.
  new ResizeObserver(() => requestAnimationFrame(update)).observe(holder);
};

// Plot in the page's own type and colours.
Collegium.plot = (options) => {
  const svg = Plot.plot({ ...options, style: { background: "none", color: "var(--ink)", fontFamily: "inherit", fontSize: "12px", ...options.style } });
  svg.setAttribute("aria-hidden", "true");
  return svg;
};

// The tip of the row nearest to the pointer. Plot's own is white whatever the page's colours.
Collegium.tip = (rows, options) =>
  Plot.tip(rows, Plot.pointer({ fill: "var(--raised)", stroke: "var(--soft)", textColor: "var(--ink)", lineHeight: 1.3, ...options }));

Collegium.theme = () => {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const label = () => {
    const dark = root.style.colorScheme ? root.style.colorScheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    button.textContent = dark ? "Light" : "Dark";
    return dark;
  };
  button.hidden = false;
  label();
  button.addEventListener("click", () => {
    root.style.colorScheme = label() ? "light" : "dark";
    label();
  });
};

Collegium.start = () => {
  Collegium.theme();
  const data = JSON.parse(document.getElementById("charts").textContent);
  for (const [name, section] of Object.entries(Collegium.sections)) {
    const root = document.getElementById(name);
    const part = (chart) => root.querySelector(`[data-chart="${chart}"]`);
    section(part, data[name]);
  }
};
