// The page of a service: four views, chosen by the address's fragment.
import * as ask from "./ask.js";
import { find, json, notice, useKey } from "./dom.js";
import * as jobs from "./jobs.js";
import * as runs from "./runs.js";
import * as zoo from "./zoo.js";

const VIEWS = ["ask", "runs", "zoo", "jobs"];

async function show() {
  const [view, id] = location.hash.slice(1).split("/");
  const chosen = VIEWS.includes(view) ? view : "ask";
  for (const name of VIEWS) {
    find(name).hidden = name !== chosen;
    const link = document.querySelector(`nav a[href="#${name}"]`);
    if (name === chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${chosen[0].toUpperCase()}${chosen.slice(1)} · Collegium`;
  await Promise.all([zoo.show(chosen === "zoo"), jobs.show(chosen === "jobs"), chosen === "runs" ? runs.show(id && decodeURIComponent(id)) : null]);
}

async function start() {
  try {
    ask.start((await json("v1/models")).data);
    notice("");
  } catch (error) {
    notice(error.message);
  }
  await show();
}

find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(find("key").value.trim());
  find("key").value = "";
  find("key-form").hidden = true;
  start();
});
addEventListener("hashchange", show);
start();
