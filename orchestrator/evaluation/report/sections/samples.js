"use strict";
Collegium.sections.samples = (part) => {
  const form = part("filters");
  const cards = Array.from(part("cards").children, (node) => ({
    node,
    task: node.dataset.task,
    verdicts: new Map(Object.entries(JSON.parse(node.dataset.verdicts))),
    text: node.textContent.toLowerCase(),
  }));
  // `verdicts` of the answerers in question: all of them, or one.
  const passes = (verdict, verdicts) => {
    if (verdict === "right") return verdicts.some(Boolean);
    if (verdict === "wrong") return verdicts.some((right) => !right);
    if (verdict === "split") return verdicts.some(Boolean) && verdicts.some((right) => !right);
    return true;
  };
  const filter = () => {
    const { task, who, verdict, text } = Object.fromEntries(new FormData(form));
    let shown = 0;
    for (const card of cards) {
      // Whether answers disagree concerns all of them, whoever is chosen.
      const asked = who && verdict !== "split" ? [card.verdicts.get(who)] : [...card.verdicts.values()];
      const show =
        (!task || card.task === task) &&
        (!who || card.verdicts.has(who)) &&
        passes(verdict, asked) &&
        card.text.includes(text.trim().toLowerCase());
      card.node.hidden = !show;
      shown += show;
    }
    form.querySelector("output").textContent = `${shown} of ${cards.length}`;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
};
