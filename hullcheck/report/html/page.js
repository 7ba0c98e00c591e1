"use strict";
const names = JSON.parse(document.getElementById("names").textContent);
const all = [...document.querySelectorAll("details.control")];
const said = new Map(all.map((each) => [each, each.textContent.toLowerCase()]));
const unpacked = new Map();

async function unpack(place) {
  if (!unpacked.has(place)) {
    const bytes = Uint8Array.from(atob(place.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    unpacked.set(place, JSON.parse(await new Response(stream).text()));
  }
  return unpacked.get(place);
}

function made(tag, text, kind) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function findings(verdict) {
  const table = made("table");
  const head = table.createTHead().insertRow();
  for (const name of ["object", "status", "expected", "observed", "reason"]) head.append(made("th", name));
  const body = table.createTBody();
  for (const [kind, name, status, expected, observed, reason] of verdict[3]) {
    const row = body.insertRow();
    row.insertCell().textContent = `${kind} ${name}`;
    row.insertCell().append(made("span", status, `badge s-${status}`));
    for (const text of [expected, observed, reason]) row.insertCell().textContent = text;
  }
  if (verdict[4]) body.insertRow().insertCell().textContent = `and ${verdict[4]} more in verdicts.jsonl`;
  const frame = made("div", undefined, "scroll");
  frame.append(table);
  return frame;
}

async function evidence(number, lines) {
  const box = made("div");
  const place = document.querySelector(`script[data-evidence="${number}"]`);
  if (!place) {
    box.append(made("p", `The evidence is not in this file: lines ${lines.join(", ")} of this host's recording.`, "quiet"));
    return box;
  }
  const known = await unpack(place);
  for (const line of lines) {
    if (!known[line]) continue;
    const [command, code, out, err, trouble] = known[line];
    const details = made("details");
    details.append(made("summary", `[${line}] $ ${command} → ${trouble || `exit ${code}`}`));
    if (out) details.append(made("pre", out));
    if (err) details.append(made("pre", err));
    if (!out && !err) details.append(made("p", "no output", "quiet"));
    box.append(details);
  }
  return box;
}

async function open(control) {
  const box = control.querySelector(".verdicts");
  const place = document.querySelector(`script[data-chunk="${control.id}"]`);
  control.querySelector(".more").hidden = true;
  for (const verdict of await unpack(place)) {
    const [number, status, reason, , , lines] = verdict;
    const details = made("details", undefined, "verdict");
    const summary = made("summary");
    summary.append(made("span", status, `badge s-${status}`), " ", made("strong", names[number]), ` ${reason}`);
    details.append(summary);
    details.addEventListener("toggle", async () => {
      if (!details.open || details.dataset.full) return;
      details.dataset.full = "yes";
      if (verdict[3].length) details.append(findings(verdict));
      details.append(await evidence(number, lines));
    });
    box.append(details);
  }
  const only = box.querySelectorAll("details");
  if (only.length === 1) only[0].open = true;
}

function filter() {
  const words = document.getElementById("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const statuses = new Set([...document.querySelectorAll("[name=status]:checked")].map((each) => each.value));
  const severity = document.getElementById("severity").value;
  const area = document.getElementById("area").value;
  let shown = 0;
  for (const each of all) {
    const fits = each.dataset.status.split(" ").some((status) => statuses.has(status))
      && (!severity || each.dataset.severity === severity) && (!area || each.dataset.area === area)
      && words.every((word) => said.get(each).includes(word));
    each.hidden = !fits;
    shown += fits;
  }
  document.getElementById("count").textContent = `${shown} of ${all.length} controls`;
}

function follow() {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.matches("details.control")) {
    target.hidden = false;
    target.open = true;
    target.scrollIntoView();
  }
}

for (const name of ["input", "change"]) document.getElementById("filters").addEventListener(name, filter);
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
for (const each of all) each.querySelector(".more").addEventListener("click", () => open(each));
addEventListener("hashchange", follow);
addEventListener("beforeprint", () => all.forEach((each) => { if (!("calm" in each.dataset)) each.open = true; }));
filter();
follow();
