// The page: one event stream in, buttons out. Everything that is shown goes through textContent; nothing is asked of any other place.
"use strict";

const TOKEN = location.pathname.split("/")[1];
const KEPT = 600; // points of a chart
const SHOWN = 50; // entries of a log
const $ = (selector, within = document) => within.querySelector(selector);
const mirrors = new Map();
let now = Date.now();

const TONES = {
  "in-sync": "good", "as-scanned": "good", halted: "bad", stopped: "bad", parked: "bad", withheld: "warn", waiting: "warn", paused: "warn",
};
const WORDS = { "in-sync": "in sync", "as-scanned": "in sync at the last scan" };

function bytes(n) {
  if (n < 1024) return n + " B";
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = -1;
  do { n /= 1024; unit += 1; } while (n >= 1024 && unit < units.length - 1);
  return n.toFixed(n < 10 ? 1 : 0) + " " + units[unit];
}

function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + (s % 60) + " s";
  if (s < 86400) return Math.floor(s / 3600) + " h " + Math.floor((s % 3600) / 60) + " min";
  return Math.floor(s / 86400) + " d " + Math.floor((s % 86400) / 3600) + " h";
}

const ago = (at) => (at == null ? "never" : span(now - at) + " ago");
const count = (n, one, many) => n.toLocaleString() + " " + (n === 1 ? one : many);

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text != null) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function button(words, label, act) {
  const made = make("button", words);
  made.type = "button";
  made.setAttribute("aria-label", label);
  made.addEventListener("click", () => press(made, act));
  return made;
}

// One request at a time for each button; what the daemon refuses is said.
async function press(pressed, act) {
  pressed.disabled = true;
  $("#said").hidden = true;
  try {
    await act();
  } catch (e) {
    $("#said").textContent = e.message;
    $("#said").hidden = false;
  } finally {
    pressed.disabled = false;
  }
}

async function ask(name, verb, body, method = "POST") {
  const answer = await fetch(`v1/mirrors/${encodeURIComponent(name)}/${verb}`, {
    method,
    headers: { "x-towline-token": TOKEN, ...(body ? { "content-type": "application/json" } : {}) },
    body: body && JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  return said;
}

const raw = (path) => Array.from(new TextEncoder().encode(path));
// Names that are no text are shown with escapes, and cannot be told from here.
const plain = (path) => !path.includes("\\");

// Writes a list anew only where it changed: a button that has the focus keeps it.
function fill(list, items, draw) {
  const key = JSON.stringify(items);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...items.map(draw));
}

function card(name) {
  const root = $("#mirror").content.firstElementChild.cloneNode(true);
  const heading = $("[data-name]", root);
  heading.textContent = name;
  heading.id = "m-" + mirrors.size;
  root.setAttribute("aria-labelledby", heading.id);
  const acts = {
    pause: () => ask(name, "pause", {}),
    "pause-hour": () => ask(name, "pause", { seconds: 3600 }),
    resume: () => ask(name, "resume"),
    "retry-all": () => ask(name, "retry", {}),
  };
  for (const pressed of root.querySelectorAll("[data-act]")) {
    pressed.addEventListener("click", () => press(pressed, acts[pressed.dataset.act]));
  }
  const made = { name, root, points: [], phase: null, logged: -1, last: null };
  $("[data-log-part]", root).addEventListener("toggle", () => log(made));
  $("[data-trash-part]", root).addEventListener("toggle", () => trash(made));
  return made;
}

function note(text, hint, bad, ...buttons) {
  const made = make("div", null, bad ? "note bad" : "note");
  made.append(make("p", text));
  if (hint) made.append(make("p", hint, "dim"));
  if (buttons.length) {
    const row = make("div", null, "row");
    row.append(...buttons);
    made.append(row);
  }
  return made;
}

function notes(mirror) {
  const name = mirror.name;
  const list = [];
  if (mirror.stopped) list.push({ text: "Stopped: " + mirror.stopped, bad: true });
  if (mirror.halt) {
    list.push({ text: "Removals wait: " + mirror.halt.why, hint: mirror.halt.hint, bad: true, halt: true });
  }
  if (mirror.paused) {
    const until = mirror.paused.until;
    list.push({ text: until ? "Paused until " + new Date(until).toLocaleString() : "Paused until somebody resumes it" });
  }
  if (mirror.link.why) list.push({ text: "Server " + mirror.link.state + ": " + mirror.link.why, hint: mirror.link.hint, bad: true });
  const withheld = mirror.release && mirror.release.withheld;
  if (withheld) list.push({ text: "Nothing is published: " + withheld.why, hint: withheld.hint });
  if (mirror.watch.why) list.push({ text: mirror.watch.why });
  for (const unseen of mirror.unseen) list.push({ text: "Cannot look at " + (unseen.path || "the root") + ": " + unseen.why, bad: true });
  for (const warning of mirror.warnings) list.push({ text: warning });
  fill($("[data-notes]", mirrors.get(name).root), list, (one) => {
    const buttons = [];
    if (one.halt) {
      buttons.push(button("Approve", "Approve the removals of " + name, () => {
        if (confirm("Approve what waits in " + name + "? Files may be removed from the server.")) return ask(name, "approve");
      }));
      buttons.push(button("Reject", "Reject the removals of " + name, () => {
        if (confirm("Leave these files on the server? The mirror " + name + " forgets them.")) return ask(name, "reject");
      }));
    }
    return note(one.text, one.hint, one.bad, ...buttons);
  });
}

function flying(mirror, root) {
  const list = $("[data-flying]", root);
  $("[data-flying-part]", root).hidden = mirror.in_flight.length === 0;
  const jobs = mirror.in_flight.slice(0, 20);
  while (list.children.length > jobs.length) list.lastElementChild.remove();
  jobs.forEach((job, at) => {
    let row = list.children[at];
    if (!row) {
      row = make("li");
      row.append(make("span"), make("progress"));
      list.append(row);
    }
    const [text, bar] = row.children;
    text.textContent = job.verb + " " + job.path + (job.size ? ` (${bytes(Math.min(job.sent, job.size))} of ${bytes(job.size)})` : "");
    bar.hidden = !job.size;
    bar.setAttribute("aria-label", job.path);
    if (job.size) { bar.max = job.size; bar.value = Math.min(job.sent, job.size); }
  });
}

function problems(mirror, root) {
  $("[data-problems-part]", root).hidden = mirror.problems.length === 0;
  fill($("[data-problems]", root), mirror.problems.map(({ path, why, hint, retry_at }) => ({ path, why, hint, retry_at })), (one) => {
    const item = make("li");
    const row = make("div", null, "row");
    row.append(make("strong", one.path));
    if (plain(one.path)) {
      row.append(button("Retry", "Retry " + one.path, () => ask(mirror.name, "retry", { path: raw(one.path) })));
    }
    item.append(row, make("div", one.why), make("div", one.hint, "dim"));
    const when = one.retry_at ? "tried again at " + new Date(one.retry_at).toLocaleTimeString() : "parked";
    item.append(make("div", when, "dim"));
    return item;
  });
}

// Bytes a second from what was sent between two events, and what is left.
function measure(known, mirror) {
  const sent = mirror.counters.bytes_sent + mirror.in_flight.reduce((sum, job) => sum + job.sent, 0);
  const left = mirror.tally.pending_files + mirror.tally.pending_dirs + mirror.tally.pending_removals;
  const last = known.last;
  if (!last || now - last.at >= 900) {
    const rate = last ? Math.max(0, sent - last.sent) / ((now - last.at) / 1000) : 0;
    known.last = { at: now, sent };
    known.points.push({ rate, left });
    if (known.points.length > KEPT) known.points.shift();
  }
}

function chart(known) {
  const { points, root } = known;
  const svg = $("[data-chart]", root);
  const peak = Math.max(1, ...points.map((point) => point.rate));
  const most = Math.max(1, ...points.map((point) => point.left));
  const line = (value) => points.map((point, at) => {
    const x = points.length > 1 ? (600 * at) / (points.length - 1) : 0;
    return `${at ? "L" : "M"}${x.toFixed(1)} ${(117 - 112 * value(point)).toFixed(1)}`;
  }).join("");
  const draw = (className, d) => {
    let path = $("path." + className, svg);
    if (!path) {
      path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("class", className);
      svg.append(path);
    }
    path.setAttribute("d", d);
  };
  draw("left", line((point) => point.left / most));
  draw("rate", line((point) => point.rate / peak));
  const point = points[points.length - 1] || { rate: 0, left: 0 };
  $("[data-rate]", root).textContent = bytes(Math.round(point.rate)) + "/s";
  const [fastest, longest] = [Math.max(0, ...points.map((one) => one.rate)), Math.max(0, ...points.map((one) => one.left))];
  $("[data-peak]", root).textContent = "(at most " + bytes(Math.round(fastest)) + ")";
  $("[data-most]", root).textContent = "(at most " + longest.toLocaleString() + ")";
  svg.setAttribute("aria-label",
    `Now ${bytes(Math.round(point.rate))} a second and ${count(point.left, "change", "changes")} to do; at most ${bytes(Math.round(fastest))} a second and ${longest} changes since this page was opened.`);
}

async function log(known) {
  if (!$("[data-log-part]", known.root).open) return;
  try {
    const entries = await ask(known.name, `log?limit=${SHOWN}`, null, "GET");
    fill($("[data-log]", known.root), entries.length ? entries.reverse() : ["none"], (entry) => {
      if (entry === "none") return make("li", "Nothing yet.", "dim");
      const item = make("li");
      const time = make("time", new Date(entry.at).toLocaleTimeString());
      time.dateTime = new Date(entry.at).toISOString();
      const what = ` ${entry.what} ${entry.path}` + (entry.other ? ` (${entry.other})` : "") + (entry.bytes != null ? `, ${bytes(entry.bytes)}` : "") + (entry.size != null ? ` of ${bytes(entry.size)}` : "");
      item.append(time, what);
      if (entry.why) item.append(make("div", entry.why, "dim"));
      return item;
    });
  } catch { /* the next event asks again */ }
}

async function trash(known) {
  if (!$("[data-trash-part]", known.root).open) return;
  const list = $("[data-trash]", known.root);
  try {
    const found = await ask(known.name, "undo", { versions: true, since: 0, dry_run: true });
    if (found.files === 0) list.dataset.key = "";
    fill(list, found.files ? found.list : ["none"], (one) => {
      if (one === "none") return make("li", "There is nothing in it that could be put back.", "dim");
      const item = make("li", null, "row");
      item.append(make("span", `${one.path} (${bytes(one.size)}), ${one.replaces ? "replaced" : "removed"} ${new Date(one.at).toLocaleString()}`));
      if (plain(one.path)) {
        item.append(button("Put back", "Put back " + one.path, async () => {
          if (!confirm("Put " + one.path + " back on the server?")) return;
          await ask(known.name, "undo", { path: raw(one.path) });
          await trash(known);
        }));
      }
      return item;
    });
  } catch (e) {
    list.dataset.key = "";
    list.replaceChildren(make("li", e.message, "dim"));
  }
}

function show(status) {
  now = Date.now();
  $("#link").textContent = "connected";
  $("#about").textContent = `Towline ${status.version}, process ${status.pid}`;
  const names = new Set(status.mirrors.map((mirror) => mirror.name));
  for (const [name, known] of mirrors) {
    if (!names.has(name)) { known.root.remove(); mirrors.delete(name); }
  }
  for (const mirror of status.mirrors) {
    let known = mirrors.get(mirror.name);
    if (!known) {
      known = card(mirror.name);
      mirrors.set(mirror.name, known);
      $("#mirrors").append(known.root);
    }
    known.mirror = mirror;
    draw(known);
    if (mirror.logged !== known.logged) { known.logged = mirror.logged; log(known); }
  }
}

function draw(known) {
  const { mirror, root } = known;
  const phase = WORDS[mirror.phase] || mirror.phase;
  if (known.phase !== phase) {
    // Said once for each change of state, never for a file.
    if (known.phase) $("#news").textContent = `${mirror.name}: ${phase}`;
    known.phase = phase;
    $("[data-phase]", root).textContent = phase;
    root.dataset.tone = TONES[mirror.phase] || "busy";
  }
  const tally = mirror.tally;
  const parts = [count(tally.pending_files, "file", "files") + ` (${bytes(tally.pending_bytes)})`];
  if (tally.pending_dirs) parts.push(count(tally.pending_dirs, "directory", "directories"));
  if (tally.pending_removals) parts.push(count(tally.pending_removals, "removal", "removals"));
  const left = tally.pending_files + tally.pending_dirs + tally.pending_removals;
  $("[data-pending]", root).textContent = left ? parts.join(", ") : "nothing";
  $("[data-recorded]", root).textContent = `${count(tally.recorded_files, "file", "files")} (${bytes(tally.recorded_bytes)})`;
  $("[data-oldest]", root).textContent = mirror.oldest_pending == null ? "none" : "seen " + ago(mirror.oldest_pending);
  $("[data-saved]", root).textContent = bytes(mirror.counters.bytes_saved);
  $("[data-last]", root).textContent = ago(mirror.last_success);
  for (const act of ["pause", "pause-hour"]) $(`[data-act=${act}]`, root).hidden = !!mirror.paused;
  $("[data-act=resume]", root).hidden = !mirror.paused;
  notes(mirror);
  flying(mirror, root);
  problems(mirror, root);
  measure(known, mirror);
  chart(known);
}

function listen() {
  const events = new EventSource("v1/events");
  events.addEventListener("status", (event) => show(JSON.parse(event.data)));
  events.addEventListener("error", () => {
    $("#link").textContent = "the daemon does not answer; this is how it was last";
    // A refusal ends the stream for good.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  });
}

// Ages and charts go on while nothing happens.
setInterval(() => {
  now = Date.now();
  for (const known of mirrors.values()) draw(known);
}, 1000);
listen();
