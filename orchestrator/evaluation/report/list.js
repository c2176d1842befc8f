// A list of any length in a box that scrolls: only the rows that are in sight are elements. The page of a service uses it,
// too. `draw(i)` makes the content of row i; every row is `height` pixels high. Arrow keys go from row to row.
"use strict";
const virtualList = (holder, height, draw) => {
  const BESIDE = 8;
  const list = document.createElement("ul");
  const shown = new Map();
  let count = 0;
  const update = () => {
    const first = Math.max(0, Math.floor(holder.scrollTop / height) - BESIDE);
    const last = Math.min(count, Math.ceil((holder.scrollTop + holder.clientHeight) / height) + BESIDE);
    for (const [i, row] of shown) {
      if (i >= first && i < last) continue;
      row.remove();
      shown.delete(i);
    }
    for (let i = first; i < last; i++) {
      if (shown.has(i)) continue;
      const row = document.createElement("li");
      row.style.top = `${i * height}px`;
      row.style.height = `${height}px`;
      row.setAttribute("aria-setsize", count);
      row.setAttribute("aria-posinset", i + 1);
      row.append(draw(i));
      const next = Math.min(...[...shown.keys()].filter((other) => other > i));
      list.insertBefore(row, shown.get(next) ?? null);
      shown.set(i, row);
    }
  };
  const focus = (i) => {
    if (i < 0 || i >= count) return;
    if (i * height < holder.scrollTop) holder.scrollTop = i * height;
    if ((i + 1) * height > holder.scrollTop + holder.clientHeight) holder.scrollTop = (i + 1) * height - holder.clientHeight;
    update();
    shown.get(i).querySelector("button, a, input")?.focus();
  };
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest("li");
    if (!step || !row) return;
    event.preventDefault();
    focus(Number(row.getAttribute("aria-posinset")) - 1 + step);
  });
  holder.classList.add("virtual");
  holder.replaceChildren(list);
  holder.addEventListener("scroll", update, { passive: true });
  new ResizeObserver(update).observe(holder);
  return {
    /** Show `number` rows, all drawn anew; `top`: from the first one on. */
    set(number, top = true) {
      count = number;
      list.style.height = `${count * height}px`;
      if (top) holder.scrollTop = 0;
      this.renew();
    },
    renew() {
      for (const row of shown.values()) row.remove();
      shown.clear();
      update();
    },
  };
};
