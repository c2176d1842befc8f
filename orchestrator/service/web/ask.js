// Ask: one or two conversations; answers as they stream, and how they came about.
import { dollars, element, events, find, json, notice, request } from "./dom.js";
import { explained } from "./explain.js";

const panes = [];
let running = null;

class Pane {
  constructor(models, chosen) {
    this.messages = [];
    this.select = element("select", { "aria-label": `Model ${panes.length + 1}` }, ...models.map((id) => element("option", {}, id)));
    this.select.value = chosen;
    this.log = element("div", { "aria-live": "polite" });
    this.root = element("div", { class: "pane" }, this.select, this.log);
  }

  /** Ask; the answer grows while it comes. Resolves to {expert, failed}. */
  async ask(question, signal) {
    this.messages.push({ role: "user", content: question });
    const reasoning = element("div", { class: "text" });
    const thoughts = element("details", { hidden: true }, element("summary", {}, "How it got there"), reasoning);
    const text = element("div", { class: "text" });
    const meta = element("p", { class: "meta" }, "waiting ...");
    const model = this.select.value;
    this.log.append(
      element("div", { class: "turn question" }, element("b", {}, "You"), element("div", { class: "text" }, question)),
      element("div", { class: "turn" }, element("b", {}, model), thoughts, text, meta),
    );
    const began = performance.now();
    const body = { model, messages: this.messages, stream: true, stream_options: { include_usage: true }, collegium: { explain: true } };
    let answer = "", usage = null, explanation = null, first = null;
    try {
      const response = await request("v1/chat/completions", { method: "POST", body: JSON.stringify(body), signal });
      for await (const { data } of events(response)) {
        if (data.error) throw new Error(data.error.message);
        usage = data.usage ?? usage;
        explanation = data.collegium ?? explanation;
        const delta = data.choices?.[0]?.delta ?? {};
        if (delta.reasoning_content) {
          thoughts.hidden = false;
          reasoning.append(delta.reasoning_content);
        }
        if (delta.content) {
          first ??= performance.now();
          answer += delta.content;
          text.append(delta.content);
        }
      }
    } catch (error) {
      meta.className = "meta error";
      meta.textContent = error.name === "AbortError" ? "stopped" : error.message;
      this.messages.pop();
      return { failed: true };
    }
    this.messages.push({ role: "assistant", content: answer });
    meta.replaceChildren(...summary(usage, explanation, (performance.now() - began) / 1000, first && (first - began) / 1000));
    return { expert: explanation?.experts?.[0] ?? model, failed: false };
  }
}

function summary(usage, explanation, seconds, first) {
  const parts = [`${seconds.toFixed(1)} s`];
  if (first) parts.push(`first word after ${first.toFixed(2)} s`);
  if (usage) parts.push(`${usage.prompt_tokens} + ${usage.completion_tokens} tokens`);
  if (usage?.cost != null) parts.push(dollars(usage.cost));
  if (explanation?.experts) parts.unshift(`asked ${explanation.experts.join(", ")}`);
  const found = [element("span", {}, parts.join(" · "))];
  if (explanation) found.push(element("details", {}, element("summary", {}, "Who was asked, and why"), explained(explanation)));
  return found;
}

async function send(event) {
  event.preventDefault();
  const box = find("question"), question = box.value.trim();
  if (!question || running) return;
  notice("");
  box.value = "";
  running = new AbortController();
  find("stop").hidden = false;
  find("send").disabled = true;
  const found = await Promise.all(panes.map((pane) => pane.ask(question, running.signal)));
  running = null;
  find("stop").hidden = true;
  find("send").disabled = false;
  if (panes.length === 2 && found.every((one) => !one.failed) && found[0].expert !== found[1].expert) prefer(question, found);
  box.focus();
}

/** Two answers beside one another: the one that is preferred is feedback to the router. */
function prefer(question, found) {
  const buttons = panes.map((pane, place) => {
    const button = element("button", { type: "button" }, "This answer is better");
    button.addEventListener("click", async () => {
      buttons.forEach((one) => (one.disabled = true));
      try {
        for (const [other, one] of found.entries()) {
          const score = other === place ? 1 : 0;
          await json("v1/feedback", { method: "POST", body: JSON.stringify({ question, expert: one.expert, score }) });
        }
        button.textContent = "Better: the router has learnt it";
      } catch (error) {
        notice(error.message);
      }
    });
    pane.log.append(element("p", { class: "actions" }, button));
    return button;
  });
}

function show() {
  find("panes").replaceChildren(...panes.map((pane) => pane.root));
  find("second").textContent = panes.length === 2 ? "Ask one" : "Ask two side by side";
}

/** Fill the view. `models`: entries of /v1/models, of which the first can be asked. */
export function start(models) {
  const ids = models.map((model) => model.id);
  const other = () => ids.find((id) => id !== panes[0]?.select.value) ?? ids[0];
  panes.splice(0, panes.length, new Pane(ids, ids[0]));
  show();
  find("question-form").onsubmit = send;
  find("question").onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
  };
  find("stop").onclick = () => running?.abort();
  find("second").onclick = () => {
    if (running) return;
    if (panes.length === 2) panes.pop();
    else panes.push(new Pane(ids, other()));
    show();
  };
  find("fresh").onclick = () => {
    if (running) return;
    const chosen = panes.map((pane) => pane.select.value);
    panes.splice(0, panes.length, ...chosen.map((id) => new Pane(ids, id)));
    show();
  };
}
