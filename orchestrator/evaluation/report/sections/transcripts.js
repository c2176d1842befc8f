"use strict";
Collegium.sections.transcripts = (part) => {
  const form = part("filters");
  const cards = Array.from(part("cards").children, (node) => ({
    node,
    method: node.dataset.method,
    outcomes: JSON.parse(node.dataset.outcomes),
    text: node.textContent.toLowerCase(),
  }));
  const filter = () => {
    const { method, outcome, text } = Object.fromEntries(new FormData(form));
    let shown = 0;
    for (const card of cards) {
      const show =
        (!method || card.method === method) &&
        (!outcome || card.outcomes.includes(outcome)) &&
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
