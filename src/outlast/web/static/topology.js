// Draws a lab: the primary in the middle of the upper row, what serves it below, and what is done to its wires.

const NS = "http://www.w3.org/2000/svg";
const BOX = 150, HIGH = 46;

function make(name, attributes, text) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

export function bytes(value) {
  if (value === null || value === undefined) return "";
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) if (value >= size) return `${(value / size).toPrecision(3)} ${unit}`;
  return `${value} B`;
}

const shortened = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const isServer = (node) => ["primary", "standby", "read-only", "silent", ""].includes(node.role);

function places(scene, width) {
  const most = width < 500 ? 2 : 4;
  const servers = scene.nodes.filter(isServer), others = scene.nodes.filter((node) => !isServer(node));
  const led = servers.filter((node) => node.role === "primary"), rest = servers.filter((node) => node.role !== "primary");
  const rows = [led, ...chunks(rest, most), ...chunks(others, most)].filter((row) => row.length);
  const found = new Map();
  rows.forEach((row, y) => row.forEach((node, x) => {
    const step = width / row.length;
    found.set(node.name, { x: step * (x + 0.5), y: 34 + y * 104 });
  }));
  return { found, height: 34 + (rows.length - 1) * 104 + 40 };
}

function chunks(list, size) {
  const count = Math.ceil(list.length / size) || 1, each = Math.ceil(list.length / count) || 1;
  return Array.from({ length: Math.ceil(list.length / each) }, (_, i) => list.slice(i * each, (i + 1) * each));
}

export function drawTopology(holder, scene) {
  const width = holder.clientWidth < 480 ? 340 : 640;
  const { found, height } = places(scene, width);
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told(scene) });
  const defs = make("defs", {}), marker = make("marker", { id: "to", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, orient: "auto", markerUnits: "userSpaceOnUse" });
  marker.append(make("path", { d: "M0 .6L8 4L0 7.4Z" }));
  defs.append(marker);
  svg.append(defs);
  const primary = scene.primary && found.get(scene.primary);
  const harmed = pairs(scene.links);
  const tags = [];
  for (const node of scene.nodes) {
    const to = found.get(node.name);
    if (!primary || node.name === scene.primary || !isServer(node) || node.lag_bytes === null) continue;
    svg.append(make("path", { class: `way${node.lag_bytes > 1e6 ? " behind" : ""}`, d: `M${primary.x} ${primary.y + HIGH / 2}L${to.x} ${to.y - HIGH / 2 - 3}`, "marker-end": "url(#to)" }));
    tags.push(make("text", { class: `tag${node.lag_bytes > 1e6 ? " bad" : ""}`, x: (primary.x + to.x * 2) / 3, y: (primary.y + to.y * 2) / 3 - 4 }, node.lag_bytes > 0 ? `−${bytes(node.lag_bytes)}` : "in step"));
  }
  for (const [key, link] of harmed) {
    const [a, b] = key.split("\n").map((name) => found.get(name));
    if (!a || !b) continue;
    // It bends to one side, so that it hides neither the replication's arrow nor what lies between the two.
    const length = Math.hypot(b.x - a.x, b.y - a.y) || 1, side = Math.abs(a.y - b.y) < 1 ? 62 : 34, sign = b.x - a.x < -1 || (a.y < b.y && Math.abs(b.x - a.x) <= 1) ? -1 : 1;
    const bend = { x: (a.x + b.x) / 2 - (sign * (b.y - a.y) * side) / length, y: (a.y + b.y) / 2 + (sign * (b.x - a.x) * side) / length };
    svg.append(make("path", { class: link.kind, fill: "none", d: `M${a.x} ${a.y}Q${bend.x} ${bend.y} ${b.x} ${b.y}` }));
    tags.push(make("text", { class: "tag bad", x: (a.x + b.x + 2 * bend.x) / 4, y: (a.y + b.y + 2 * bend.y) / 4 + 4 }, link.kind === "cut" ? "✕" : link.kind === "slow" ? "≈" : "⁒"));
  }
  for (const node of scene.nodes) {
    const at = found.get(node.name);
    const kind = node.role === "primary" ? "primary" : node.role === "silent" ? "silent" : isServer(node) ? "standby" : "other";
    const group = make("g", { class: kind });
    group.append(
      make("rect", { x: at.x - BOX / 2, y: at.y - HIGH / 2, width: BOX, height: HIGH }),
      make("text", { class: "name", x: at.x, y: at.y - 4 }, shortened(node.name, 18)),
      make("text", { x: at.x, y: at.y + 14 }, node.role === "silent" ? "no answer" : [node.role || "…", node.timeline ? `timeline ${node.timeline}` : node.healthy ? "" : node.state].filter(Boolean).join(" · ")),
    );
    svg.append(group);
  }
  svg.append(...tags);
  holder.replaceChildren(svg);
}

// Both directions of a pair are one line; what is worst of it counts.
function pairs(links) {
  const found = new Map();
  for (const link of links) {
    const key = [link.source, link.destination].sort().join("\n");
    if (!found.has(key) || link.kind === "cut") found.set(key, link);
  }
  return found;
}

function told(scene) {
  const nodes = scene.nodes.map((node) => `${node.name} ${node.role === "silent" ? "does not answer" : node.role}`).join(", ");
  return `${nodes}. ${scene.links.length ? `${scene.links.length} directions of links are harmed.` : "All links are clear."}`;
}

// Rules are many, what they do is little: a line for each source and effect.
export function drawLinks(list, links) {
  const both = new Set(links.map((link) => `${link.destination}\n${link.source}\n${link.words}`));
  const harms = new Map();
  for (const link of links) harms.set(link.source, (harms.get(link.source) || 0) + 1);
  const groups = new Map();
  for (const link of links) {
    const mutual = both.has(`${link.source}\n${link.destination}\n${link.words}`);
    // Of two that do not reach each other, the one with more of that is where the line begins.
    if (mutual && harms.get(link.source) < harms.get(link.destination)) continue;
    if (mutual && harms.get(link.source) === harms.get(link.destination) && link.source > link.destination) continue;
    const key = `${link.source}\n${mutual}\n${link.words}`;
    groups.set(key, { ...link, mutual, to: [...(groups.get(key)?.to || []), link.destination] });
  }
  list.replaceChildren(...[...groups.values()].slice(0, 12).map((group) => {
    const item = document.createElement("li"), what = document.createElement("b");
    item.className = group.kind;
    what.textContent = group.words;
    item.append(`${group.source} ${group.mutual ? "↔" : "→"} ${[...new Set(group.to)].join(", ")}: `, what);
    return item;
  }));
}
