// The page: who it is for, their list, their history; a click on an item becomes an event.

const LENGTH = 10;
const $ = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const numbers = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
let user = null;
let before = []; // items of the last list, to show what has moved
let shown = 0; // requests whose answer is not the newest are not shown

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The service does not answer. Is it still running?");
  }
  const found = await answer.json().catch(() => ({ error: `The service answered ${answer.status}.` }));
  if (answer.status === 503) throw new Error("The service is busy. Try again in a moment.");
  if (!answer.ok) throw new Error(found.error);
  return found;
}

async function attempt(work) {
  $("message").textContent = "";
  try {
    return await work();
  } catch (error) {
    $("message").textContent = error.message;
    return undefined;
  }
}

const name = (entry) => entry.title ?? (entry.item === null ? "unknown item" : `Item ${entry.item}`);

async function show(id, fresh = false) {
  if (id !== user) before = [];
  user = id;
  const turn = ++shown;
  $("list").setAttribute("aria-busy", "true");
  await attempt(async () => {
    const [list, history] = await Promise.all([
      ask("/recommend", { user: id, k: LENGTH }),
      ask(`/users/${encodeURIComponent(id)}`),
    ]);
    if (turn !== shown) return;
    $("name").textContent = id;
    $("source").textContent = list.source === "popular" ? "popular items, since nothing is known yet" : `by the model ${list.bundle}`;
    showList(list.items);
    showHistory(history.events, fresh);
  });
  if (turn === shown) $("list").setAttribute("aria-busy", "false");
}

function showList(items) {
  const list = $("list");
  const held = list.contains(document.activeElement) ? document.activeElement.closest("li")?.dataset.place : undefined;
  const tops = new Map([...list.children].map((row) => [row.dataset.item, row.getBoundingClientRect().top]));
  const scores = items.map((entry) => entry.score);
  const [least, most] = [Math.min(...scores), Math.max(...scores)];
  list.replaceChildren(...items.map((entry, place) => row(entry, place, least, most)));
  if (held !== undefined) list.children[Math.min(held, items.length - 1)]?.querySelector(".pick").focus();
  for (const line of still.matches ? [] : list.children) {
    const top = tops.get(line.dataset.item);
    const from = top === undefined ? null : top - line.getBoundingClientRect().top;
    if (from === null && before.length) line.animate([{ opacity: 0 }, { opacity: 1 }], 450);
    else if (from) line.animate([{ transform: `translateY(${from}px)` }, { transform: "none" }], { duration: 350, easing: "ease-out" });
  }
  const added = items.filter((entry) => !before.includes(entry.item));
  if (before.length) $("changes").textContent = added.length
    ? `The list has changed. New: ${added.map(name).join(", ")}` : "The list has the same items.";
  before = items.map((entry) => entry.item);
  if (!items.length) list.append(Object.assign(document.createElement("li"), { className: "empty", textContent: "No item is left to recommend." }));
}

function row(entry, place, least, most) {
  const line = $("entry").content.cloneNode(true).firstElementChild;
  const part = (cls) => line.querySelector(`.${cls}`);
  Object.assign(line.dataset, { item: JSON.stringify(entry.item), place });
  part("rank").textContent = place + 1;
  part("title").textContent = name(entry);
  part("score").textContent = Number.isInteger(entry.score) ? numbers.format(entry.score) : entry.score.toFixed(3);
  part("bar").firstElementChild.style.setProperty("--share", `${most > least ? 8 + (92 * (entry.score - least)) / (most - least) : 100}%`);
  const was = before.indexOf(entry.item);
  if (before.length && was < 0) mark(part("move"), "new", "new");
  else if (was > place) mark(part("move"), `▲ ${was - place}`, "up", `up by ${was - place}`);
  else if (was >= 0 && was < place) mark(part("move"), `▼ ${place - was}`, "down", `down by ${place - was}`);
  part("pick").addEventListener("click", () => click(entry, line));
  part("why").setAttribute("aria-label", `Why ${name(entry)}?`);
  part("why").addEventListener("click", () => explain(entry, line));
  return line;
}

function mark(element, text, kind, label = text) {
  element.textContent = text;
  element.classList.add(kind);
  element.setAttribute("aria-label", label);
}

async function click(entry, line) {
  const who = user;
  line.querySelector(".pick").setAttribute("aria-disabled", "true");
  const id = [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, "0")).join("");
  await attempt(async () => {
    await ask("/events", { user: who, item: entry.item, type: "click", id });
    if (who === user) await show(who, true);
    await health();
  });
  line.querySelector(".pick").removeAttribute("aria-disabled");
}

async function explain(entry, line) {
  const [button, box] = [line.querySelector(".why"), line.querySelector(".reasons")];
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", open);
  box.hidden = !open;
  if (!open) return;
  box.replaceChildren(paragraph("…"));
  try {
    const found = await ask("/explain", { user, item: entry.item });
    const reasons = [
      ...found.events.map((event) => ({ title: name(event), effect: event.effect })),
      ...Object.entries(found.fields).map(([title, effect]) => ({ title: title.replaceAll("_", " "), effect })),
    ].filter(({ effect }) => Math.abs(effect) >= 0.0005).sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect)).slice(0, 5);
    box.replaceChildren(paragraph(found.because));
    if (reasons.length) box.append(list(reasons));
  } catch (error) {
    box.replaceChildren(paragraph(error.message));
  }
}

const paragraph = (text) => Object.assign(document.createElement("p"), { textContent: text });

function list(reasons) {
  const found = document.createElement("ul");
  found.append(...reasons.map(({ title, effect }) => {
    const line = document.createElement("li");
    const share = Object.assign(document.createElement("span"), {
      className: effect < 0 ? "effect down" : "effect", textContent: `${effect < 0 ? "−" : "+"}${Math.abs(effect).toFixed(3)}`,
    });
    line.append(Object.assign(document.createElement("span"), { textContent: title }), share);
    return line;
  }));
  return found;
}

function showHistory(events, fresh) {
  $("history").replaceChildren(...events.map((event, place) => {
    const line = document.createElement("li");
    if (fresh && place === 0) line.className = "fresh";
    const at = new Date(event.timestamp * 1000);
    const valid = !Number.isNaN(at.getTime());
    const when = Object.assign(document.createElement("time"), { textContent: valid ? ago(at) : "" });
    if (valid) Object.assign(when, { dateTime: at.toISOString(), title: at.toLocaleString() });
    line.append(Object.assign(document.createElement("span"), { textContent: name(event) }), when);
    return line;
  }));
  $("count").textContent = events.length ? `newest ${events.length} that the model reads` : "";
  $("no-history").hidden = events.length > 0;
}

function ago(at) {
  const seconds = Math.round((Date.now() - at) / 1000);
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : at.toISOString().slice(0, 10);
}

async function health() {
  try {
    const found = await ask("/health");
    $("state").dataset.state = found.position === null ? "bad" : "ok";
    $("bundle").textContent = found.bundle;
    $("p50").textContent = found.list_milliseconds.p50?.toFixed(1) ?? "–";
    $("p99").textContent = found.list_milliseconds.p99?.toFixed(1) ?? "–";
    $("position").textContent = found.position === null ? "–" : numbers.format(found.position);
  } catch {
    $("state").dataset.state = "bad";
    $("bundle").textContent = "no answer";
  }
}

$("who").addEventListener("submit", (event) => {
  event.preventDefault();
  choose($("user").value.trim());
});
$("stranger").addEventListener("click", () => {
  choose(`visitor-${crypto.getRandomValues(new Uint32Array(1))[0].toString(16)}`);
});

function choose(id) {
  if (!id) return;
  $("user").value = id;
  history.replaceState(null, "", `#${encodeURIComponent(id)}`);
  show(id);
}

async function begin() {
  health();
  setInterval(() => document.hidden || health(), 2000);
  const found = await attempt(() => ask("/users?count=50"));
  $("users").append(...(found?.users ?? []).map((id) => Object.assign(document.createElement("option"), { value: id })));
  let named = "";
  try { named = decodeURIComponent(location.hash.slice(1)); } catch { /* not ours */ }
  const first = named || found?.users[0];
  if (first === undefined || first === "") $("stranger").click();
  else { $("user").value = first; show(String(first)); }
}

begin();
