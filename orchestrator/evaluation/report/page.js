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

/** An element; every text becomes a text node. Attributes `on...` are listeners. */
Collegium.element = (tag, attributes, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};

// What page.py's `packed` wrote into the element of that id.
Collegium.unpacked = async (id) => {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
};

Collegium.save = (name, blob) => {
  const link = Collegium.element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
};
Collegium.saveText = (name, text) => Collegium.save(name, new Blob([text], { type: "text/plain;charset=utf-8" }));

// Rows of cells as CSV; a text that a spreadsheet would compute is marked as text.
Collegium.csv = (rows) =>
  rows.map((row) => row.map((cell) => {
    const written = String(cell ?? "");
    const computed = /^[=+\-@\t\r]/.test(written) && !/^[+-]?[\d.,]+%?$/.test(written);
    const text = computed ? `'${written}` : written;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }).join(",")).join("\r\n");

// Below each chart a button that saves it as a picture, below each table one that saves it as CSV.
Collegium.exports = () => {
  const { element, save, saveText } = Collegium;
  const named = (node, kind) => `${node.closest("section").id}.${kind}`;
  for (const figure of document.querySelectorAll("figure:has([data-chart])")) {
    const picture = async () => save(named(figure, "png"), await Collegium.png(figure.querySelector("svg")));
    figure.append(element("p", { class: "save" }, element("button", { type: "button", onclick: picture }, "Save as PNG")));
  }
  for (const table of document.querySelectorAll("section .scroll > table")) {
    const rows = () => [...table.rows].map((row) => [...row.cells].map((cell) => cell.innerText.replace(/\s+/g, " ").trim()));
    const button = element("button", { type: "button", onclick: () => saveText(named(table, "csv"), Collegium.csv(rows())) }, "Save as CSV");
    table.parentElement.after(element("p", { class: "save" }, button));
  }
};

// A chart as it looks now, at twice its size: the colours of the page's style are written into it first.
Collegium.png = async (svg) => {
  const { width, height } = svg.getBoundingClientRect();
  const copy = svg.cloneNode(true);
  const own = [svg, ...svg.querySelectorAll("*")];
  for (const [i, node] of [copy, ...copy.querySelectorAll("*")].entries())
    for (const name of ["fill", "stroke", "color", "font-size", "font-family"]) node.style?.setProperty(name, getComputedStyle(own[i])[name]);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  await image.decode();
  const canvas = Collegium.element("canvas", { width: 2 * width, height: 2 * height }), drawing = canvas.getContext("2d");
  drawing.fillStyle = getComputedStyle(document.body).backgroundColor;
  drawing.fillRect(0, 0, 2 * width, 2 * height);
  drawing.drawImage(image, 0, 0, 2 * width, 2 * height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
};

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
  Collegium.exports();
};
