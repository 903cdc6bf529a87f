// Keeps the page up to date, filters the list, and nothing else: all of it works without, after a reload.
"use strict";

const parts = () => document.querySelectorAll("[data-live]");
const gone = document.getElementById("gone");

// A part in which somebody writes stays until it is left.
const isUsed = (part) =>
  [...part.querySelectorAll("input")].some((input) => input.value !== "" && input.type !== "hidden");

function replace(part, fresh) {
  const open = [...part.querySelectorAll("details[open][id]")].map((one) => one.id);
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  for (const id of open) {
    fresh.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  }
  if (part.isEqualNode(fresh)) return;
  part.replaceWith(document.importNode(fresh, true));
  if (focused) document.getElementById(focused)?.focus();
}

async function refresh() {
  const answer = await fetch(location.pathname, { headers: { accept: "text/html" } });
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (answer.status === 403) {
    location.reload();
    return;
  }
  for (const part of parts()) {
    const other = fresh.getElementById(part.id);
    if (other && !isUsed(part)) replace(part, other);
  }
  const who = fresh.querySelector(".who");
  if (who) document.querySelector(".who").textContent = who.textContent;
  document.body.dataset.version = fresh.body.dataset.version ?? "";
  filter();
}

let running = false;
let again = false;
async function soon() {
  again = true;
  if (running) return;
  running = true;
  while (again) {
    again = false;
    await refresh().catch(() => {});
  }
  running = false;
}

const changes = new EventSource(new URL("changes", document.currentScript.src));
changes.onmessage = (change) => {
  gone.hidden = true;
  if (change.data !== document.body.dataset.version) soon();
};
changes.onerror = () => (gone.hidden = false);
// Times are written in words.
setInterval(soon, 30000);

const form = document.getElementById("filter");
function filter() {
  if (!form) return;
  const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const show = form.elements.show.value;
  let shown = 0;
  const rows = document.querySelectorAll("#policies tbody tr");
  for (const row of rows) {
    const fits =
      words.every((word) => row.dataset.words.includes(word)) &&
      (show === "" || row.dataset.is.split(" ").includes(show));
    row.hidden = !fits;
    if (fits) shown += 1;
  }
  const said = shown === rows.length ? "" : `${shown} of ${rows.length} shown`;
  if (form.elements.shown.value !== said) form.elements.shown.value = said;
}
if (form) {
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
}

// The answer to a form: a reload must not send the form again.
const notice = document.getElementById("notice");
if (notice) {
  history.replaceState(null, "", location.pathname);
  notice.focus();
}
document.addEventListener("submit", (event) => {
  if (event.target.method === "post") {
    for (const button of event.target.querySelectorAll("button")) button.setAttribute("aria-busy", "true");
  }
});
