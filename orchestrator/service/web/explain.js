// How an answer came about: who was asked, the router's ranking, the votes, a discussion as rounds.
import { element, fields, table } from "./dom.js";

const OWN = ["ranking", "evidence", "votes", "transcript", "asked", "experts", "calls", "cached_calls", "fusion"];
const RANKED = 8;
const share = (value) => (value == null ? "" : `${(100 * value).toFixed(0)}%`);
const said = (text) => text ?? "no answer";

function asked(found) {
  const names = found.asked ?? found.experts ?? [];
  const calls = found.calls == null ? "" : ` (${found.calls} ${found.calls === 1 ? "call" : "calls"}, ${found.cached_calls ?? 0} from the ledger)`;
  return names.length ? element("p", { class: "meta" }, `asked: ${names.join(", ")}${calls}`) : null;
}

function ranking(entries) {
  if (!entries?.length) return null;
  const columns = [
    ["Expert", (one) => one.expert, "name"],
    ["Likely right", (one) => share(one.probability ?? (one.score >= 0 && one.score <= 1 ? one.score : null)), "number"],
    ["Why", (one) => one.note || one.reason || ""],
  ];
  const more = entries.length > RANKED ? `, the first ${RANKED} of ${entries.length}` : "";
  return table(columns, entries.slice(0, RANKED), `The router's ranking${more}`);
}

function evidence(entries) {
  if (!entries?.length) return null;
  return element("ul", { class: "soft" }, ...entries.slice(0, RANKED).map((one) => element("li", {}, `${one.kind ?? "evidence"}: ${one.label ?? ""}`)));
}

function votes(entries) {
  if (!entries?.length) return null;
  const columns = [];
  if (entries.some((one) => one.round != null)) columns.push(["Round", (one) => one.round, "number"], ["Rule", (one) => one.rule ?? ""]);
  columns.push(["Answer", (one) => said(one.answer), "name"]);
  if (entries.some((one) => one.experts)) columns.push(["By", (one) => (one.experts ?? []).join(", ")]);
  if (entries.some((one) => one.share != null)) columns.push(["Share", (one) => share(one.share), "number"]);
  if (entries.some((one) => one.weight != null)) columns.push(["Weight", (one) => Number(one.weight).toPrecision(3), "number"]);
  return table(columns, entries, "Votes");
}

/** A discussion: for each round what each agent said, its answer first. */
function discussion(transcript) {
  if (!transcript?.turns?.length) return null;
  const rounds = new Map();
  for (const one of transcript.turns) rounds.set(one.round, [...(rounds.get(one.round) ?? []), one]);
  const turn = (one) => {
    const seat = transcript.seats[one.seat] ?? {};
    const answer = one.error ? "no reply" : one.answer == null ? "no answer" : one.written || one.answer;
    const sure = one.stated == null ? "" : ` · says ${share(one.stated)}`;
    return element("details", {},
      element("summary", {}, `${seat.name ?? "an expert"}${seat.role ? ` (${seat.role})` : ""}: ${String(answer).slice(0, 200)}${sure}`),
      element("div", { class: "text" }, one.error ?? one.text));
  };
  return element("div", {}, ...[...rounds].flatMap(([number, turns]) => [
    element("h4", {}, number === 0 ? "First replies" : `Round ${number}`),
    ...turns.map(turn),
  ]));
}

function fusion(found) {
  if (!found) return null;
  return fields({ panel: Object.values(found.sources ?? {}).join(", "), judge: `${found.judge ?? "none"} (${found.judged})`, "written by": found.synthesiser ?? "a member of the panel" });
}

export function explained(found) {
  const rest = Object.fromEntries(Object.entries(found).filter(([name, value]) => !OWN.includes(name) && value != null && value !== "" && !(Array.isArray(value) && !value.length)));
  const parts = [asked(found), ranking(found.ranking), evidence(found.evidence), votes(found.votes), fusion(found.fusion), discussion(found.transcript), fields(rest)];
  return element("div", { class: "scroll explained", tabindex: "0", role: "region", "aria-label": "How the answer came about" }, ...parts);
}
