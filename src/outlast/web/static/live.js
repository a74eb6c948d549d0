// The live page: one stream of events from the server, drawn as they come. All text from outside is set as text.
import { drawLinks, drawTopology, bytes } from "/static/topology.js";
import { Panels } from "/static/panels.js";
import { Controls, api } from "/static/controls.js";

const byId = (id) => document.getElementById(id);
const SIGNS = { pass: "✓", fail: "✕", unknown: "?", invalid: "∅" };
const KINDS = { fault: "▲", heal: "△", role: "→", bad: "✕", good: "✓", plain: "·" };
const state = { lab: null, scene: null, labs: [], jobs: new Map(), source: null };
let panels, controls;

function cell(row, text, kind, tag = "td") {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (tag === "th") made.scope = "row";
  made.textContent = text;
  row.append(made);
  return made;
}

function verdict(word) {
  const made = document.createElement("span");
  made.className = `verdict ${word}`;
  made.textContent = `${SIGNS[word] || "·"} ${word}`;
  return made;
}

// ── the door ──

async function enter(token) {
  await api("POST", "/api/v1/session", { token });
  byId("gate").hidden = true;
  listen(new URLSearchParams(location.search).get("lab"));
}

function gate(words) {
  byId("gate").hidden = false;
  byId("house").hidden = true;
  byId("gate-error").textContent = words;
  online("off", "not let in");
  byId("token").focus();
}

function online(kind, words) {
  byId("link").className = `link ${kind}`;
  byId("link").textContent = words;
}

async function begin() {
  panels = new Panels(byId("panels"));
  controls = new Controls(state);
  byId("gate-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try { await enter(byId("token").value); } catch (error) { gate(error.message); }
  });
  byId("labs").addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    history.replaceState(null, "", link.href);
    listen(link.dataset.lab);
  });
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) { // it must not stay in the history of the browser
    history.replaceState(null, "", location.pathname + location.search);
    try { await enter(token); } catch (error) { gate(error.message); }
    return;
  }
  try {
    await api("GET", "/api/v1/labs");
    listen(new URLSearchParams(location.search).get("lab"));
  } catch (error) { gate(error.status === 401 ? "" : error.message); }
}

// ── the stream ──

async function listen(wanted) {
  if (!wanted) wanted = (await api("GET", "/api/v1/labs")).labs[0] || null;
  state.source?.close();
  state.lab = wanted;
  const source = new EventSource(`/api/v1/stream${wanted ? `?lab=${encodeURIComponent(wanted)}` : ""}`);
  state.source = source;
  const on = (kind, take) => source.addEventListener(kind, (event) => take(JSON.parse(event.data)));
  source.onopen = () => online("on", "live");
  source.onerror = async () => {
    online("off", "lost; trying again");
    if (source.readyState === EventSource.CLOSED) {
      try { await api("GET", "/api/v1/labs"); setTimeout(() => listen(state.lab), 1000); } catch (error) { if (error.status === 401) gate(""); else setTimeout(() => listen(state.lab), 2000); }
    }
  };
  on("hello", hello);
  on("scene", (scene) => drawScene(scene));
  on("figures", (point) => panels.add(point));
  on("event", addEvent);
  on("labs", (labs) => { drawLabs(labs); if (!labs.includes(state.lab)) listen(labs[0] || null); });
  on("runs", drawRuns);
  on("job", (job) => { state.jobs.set(job.id, job); drawJobs(); });
}

function hello(all) {
  byId("house").hidden = false;
  const there = all.scene !== null;
  byId("none").hidden = there;
  for (const id of ["head", "columns", "panels"]) byId(id).hidden = !there;
  byId("run").hidden = true;
  drawLabs(all.labs);
  drawRuns(all.runs);
  state.jobs = new Map(all.jobs.map((job) => [job.id, job]));
  drawJobs();
  byId("log").replaceChildren();
  all.events.forEach(addEvent);
  panels.reset(all.figures);
  if (there) drawScene(all.scene);
  document.documentElement.dataset.ready = "yes";
}

// ── the picture ──

function drawLabs(labs) {
  byId("labs").replaceChildren(...labs.map((name) => {
    const item = document.createElement("li"), link = document.createElement("a");
    link.href = `/?lab=${encodeURIComponent(name)}`;
    link.dataset.lab = name;
    link.textContent = name;
    if (name === state.lab) link.setAttribute("aria-current", "page");
    item.append(link);
    return item;
  }));
}

function drawScene(scene) {
  state.scene = scene;
  document.title = `${scene.lab} · Outlast`;
  byId("lab-name").textContent = scene.lab;
  byId("lab-what").textContent = `${scene.system}, profile ${scene.profile}, sync ${scene.sync}`;
  const known = scene.nodes.some((node) => node.role !== "" && node.role !== "dcs");
  byId("whole").className = `pill ${!known ? "" : scene.missing || !scene.primary ? "bad" : "good"}`;
  byId("whole").textContent = !known ? "looking" : !scene.primary ? "✕ no node takes writes" : scene.missing ? `✕ ${scene.missing}` : `✓ whole, ${scene.primary} leads`;
  if (scene.nodes.length) drawTopology(byId("topology"), scene);
  drawLinks(byId("links"), scene.links);
  byId("nodes").tBodies[0].replaceChildren(...scene.nodes.map((node) => {
    const row = document.createElement("tr");
    cell(row, node.name, "", "th");
    const role = document.createElement("span");
    role.className = `role ${["primary", "silent", "standby", "read-only"].includes(node.role) ? node.role : "other"}`;
    role.textContent = node.role === "silent" ? "no answer" : node.role || "…";
    cell(row, "").append(role);
    cell(row, [node.state, node.sync, scene.lock === node.name ? "holds the lock" : ""].filter(Boolean).join(", ") + (node.healthy ? "" : " (!)"));
    cell(row, node.timeline || "", "num");
    cell(row, bytes(node.lag_bytes), "num");
    return row;
  }));
  drawRun(scene.run);
}

function fact(list, name, value, kind = "") {
  const group = document.createElement("div"), title = document.createElement("dt"), shown = document.createElement("dd");
  group.className = kind;
  title.textContent = name;
  shown.textContent = value;
  group.append(title, shown);
  list.push(group);
}

function drawRun(run) {
  byId("run").hidden = !run;
  if (!run) return;
  byId("run-title").replaceChildren(`${run.drill}: ${run.phase} `, ...(run.verdict ? [verdict(run.verdict)] : []));
  const facts = [];
  fact(facts, "acknowledged", run.ok.toLocaleString("en"));
  fact(facts, "refused", run.fail.toLocaleString("en"));
  fact(facts, "unknown", run.info.toLocaleString("en"));
  fact(facts, "per second", Math.round(run.rate_per_s).toLocaleString("en"));
  fact(facts, "since the last ack", `${run.outage_s.toFixed(1)} s`, run.outage_s > 1 ? "bad" : "");
  fact(facts, "longest so far", `${run.outage_worst_s.toFixed(1)} s`);
  byId("run-facts").replaceChildren(...facts);
  const whole = run.duration_s || 1;
  byId("run-progress").style.width = `${Math.min(100, (run.elapsed_s / whole) * 100)}%`;
  byId("run-faults").replaceChildren(...run.faults.map((one) => {
    const band = document.createElement("b");
    band.style.left = `${(one.at_s / whole) * 100}%`;
    band.style.width = `${(((one.healed_s ?? Math.max(run.elapsed_s, one.at_s)) - one.at_s) / whole) * 100}%`;
    return band;
  }));
}

function addEvent(event) {
  const log = byId("log"), item = document.createElement("li"), at = document.createElement("time"), sign = document.createElement("span"), text = document.createElement("span");
  const stayed = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
  item.className = event.kind;
  at.textContent = new Date(event.at_ms).toLocaleTimeString("en-GB");
  sign.textContent = KINDS[event.kind] || "·";
  sign.setAttribute("aria-hidden", "true");
  text.textContent = event.text;
  item.append(at, sign, text);
  item.dataset.late = String(Date.now() - event.at_ms);
  log.append(item);
  while (log.childElementCount > 200) log.firstElementChild.remove();
  if (stayed) log.scrollTop = log.scrollHeight;
}

function drawJobs() {
  const jobs = [...state.jobs.values()].sort((a, b) => b.began_ms - a.began_ms).slice(0, 30);
  byId("jobs-none").hidden = jobs.length > 0;
  byId("jobs").replaceChildren(...jobs.map((job) => {
    const item = document.createElement("li"), command = document.createElement("code"), end = document.createElement("span"), said = document.createElement("span");
    command.textContent = job.command;
    if (job.code === null) {
      const stop = document.createElement("button");
      stop.type = "button";
      stop.textContent = "Stop";
      stop.title = "Asks it to end early: it heals and removes what it made.";
      stop.addEventListener("click", async () => { stop.disabled = true; try { await api("POST", `/api/v1/jobs/${job.id}/stop`); } catch { stop.disabled = false; } });
      end.append(stop);
    } else if (job.verdict) end.append(verdict(job.verdict));
    else end.textContent = job.code === 0 ? "✓ done" : `✕ ended with ${job.code}`;
    said.className = "said";
    said.textContent = job.error || job.said || (job.code === null ? "starting" : "");
    if (job.run) {
      const link = document.createElement("a");
      link.href = `/runs/${encodeURIComponent(job.run)}/report`;
      link.textContent = " report";
      said.append(link);
    }
    item.append(command, end, said);
    return item;
  }));
}

function drawRuns(runs) {
  byId("runs-none").hidden = runs.length > 0;
  const figure = (value, places) => (value === null || value === undefined ? "–" : typeof value === "number" ? value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places }) : String(value));
  byId("runs").tBodies[0].replaceChildren(...runs.map((run) => {
    const row = document.createElement("tr");
    cell(row, "").append(verdict(run.verdict));
    cell(row, run.drill, "", "th");
    cell(row, `${run.system}, ${run.profile}, sync ${run.sync ?? "?"}`);
    cell(row, run.outage_s === null || run.outage_s === undefined ? "–" : `${figure(run.outage_s, 3)} s`, "num");
    cell(row, figure(run.acked_lost, 0), "num");
    cell(row, run.two_writers_s === null || run.two_writers_s === undefined ? "–" : `${figure(run.two_writers_s, 3)} s`, "num");
    cell(row, run.started.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3 $4:$5:$6"));
    const link = document.createElement("a");
    link.href = `/runs/${encodeURIComponent(run.run)}/report`;
    link.textContent = "report";
    cell(row, "").append(link);
    return row;
  }));
}

begin();
