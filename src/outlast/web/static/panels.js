// Live panels: a few lines over the last five minutes each, drawn on a canvas once a second.

const SECONDS = 300, SECONDS_MIN = 60;
const DASHES = [[], [6, 3], [2, 3], [9, 3, 2, 3], [1, 2], [12, 4]];

const sum = (point, field) => Object.values(point.nodes).reduce((total, node) => total + node[field], 0);
const each = (field) => (point) => Object.fromEntries(Object.entries(point.nodes).map(([name, node]) => [name, node[field]]));
const run = (field) => (point) => (point.run ? point.run[field] : null);
const count = (value) => (value >= 10000 ? `${(value / 1000).toFixed(1)}k` : Number(value.toFixed(value < 10 ? 1 : 0)).toString());
const size = (value) => { for (const [unit, one] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) if (value >= one) return `${(value / one).toPrecision(3)} ${unit}`; return `${Math.round(value)} B`; };
const ms = (value) => (value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${value >= 10 ? Math.round(value) : Number(value.toPrecision(2))} ms`);

// Of the dashboards "PostgreSQL HA Cluster" and "PostgreSQL HA - Read/Write Load Analysis".
const PANELS = [
  { title: "Throughput", unit: "per second", show: count, lines: (point) => ({ "drill acked": run("rate_per_s")(point), commits: sum(point, "commits") }) },
  { title: "Latency", unit: "of the drill's acks", idle: "while a drill runs", show: ms, lines: (point) => ({ median: run("p50_ms")(point), "99 %": run("p99_ms")(point) }) },
  { title: "Replay lag", unit: "behind the primary", show: size, sorted: true, lines: (point) => point.lag },
  { title: "Connections", unit: "per node", show: count, sorted: true, lines: each("connections") },
  { title: "Active queries", unit: "all nodes", show: count, lines: (point) => ({ reading: sum(point, "reading"), writing: sum(point, "writing") }) },
  { title: "Inserts", unit: "rows per second, per node", show: count, sorted: true, lines: each("inserts") },
  { title: "Sequential scans", unit: "per second, per node", show: count, sorted: true, lines: each("scans") },
  { title: "Read against written", unit: "rows per second", show: count, lines: (point) => ({ read: sum(point, "rows_read"), written: sum(point, "rows_written") }) },
  { title: "Outage", unit: "seconds since the last ack", idle: "while a drill runs", show: (value) => `${value.toFixed(1)} s`, lines: (point) => ({ now: run("outage_s")(point) }) },
];

export class Panels {
  constructor(holder) {
    this.points = [];
    this.panels = PANELS.map((panel) => {
      const card = document.createElement("section"), title = document.createElement("h2"), unit = document.createElement("span");
      const canvas = document.createElement("canvas"), legend = document.createElement("p");
      card.className = "card panel";
      unit.textContent = panel.unit;
      title.append(panel.title, unit);
      canvas.setAttribute("role", "img");
      legend.className = "legend";
      card.append(title, canvas, legend);
      holder.append(card);
      return { ...panel, canvas, legend, names: [] };
    });
    const again = () => this.draw();
    addEventListener("resize", again);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  }

  reset(points) { this.points = points.slice(-SECONDS); this.panels.forEach((panel) => { panel.names = []; }); this.draw(); }

  add(point) {
    this.points.push(point);
    if (this.points.length > SECONDS) this.points.shift();
    if (!document.hidden) this.draw();
  }

  draw() {
    const style = getComputedStyle(document.documentElement);
    this.colours = [0, 1, 2, 3, 4, 5].map((i) => style.getPropertyValue(`--l${i}`));
    this.ink = style.getPropertyValue("--muted");
    this.faint = style.getPropertyValue("--faint");
    this.band = style.getPropertyValue("--band");
    for (const panel of this.panels) this.drawOne(panel);
  }

  drawOne(panel) {
    const { canvas } = panel, scale = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const paper = canvas.getContext("2d");
    paper.scale(scale, scale);
    const rows = this.points.map((point) => panel.lines(point));
    const last = rows.at(-1) || {};
    for (const row of rows) for (const name of Object.keys(row)) if (!panel.names.includes(name)) panel.names.push(name);
    panel.names.sort((a, b) => panel.sorted && a.localeCompare(b, "en", { numeric: true }));
    let top = 0;
    for (const row of rows) for (const name of panel.names) top = Math.max(top, row[name] ?? 0);
    const round = 10 ** Math.floor(Math.log10(top || 1));
    const high = [1, 2, 5, 10].map((one) => one * round).find((one) => one >= top) || 1;
    const now = this.points.length ? this.points.at(-1).at_ms : 0;
    const shown = Math.min(SECONDS, Math.max(SECONDS_MIN, this.points.length ? (now - this.points[0].at_ms) / 1000 : 0));
    const x = (at) => width - ((now - at) / 1000 / shown) * width, y = (value) => height - 2 - (value / high) * (height - 16);
    paper.fillStyle = this.band;
    let from = null; // a fault's time is one band, or its parts would show where they meet
    for (const point of [...this.points, null]) {
      const harmed = point?.run?.faults.some((one) => one.healed_s === null);
      if (harmed && from === null) from = x(point.at_ms);
      if (!harmed && from !== null) { paper.fillRect(from, 0, (point ? x(point.at_ms) : width) - from, height); from = null; }
    }
    paper.strokeStyle = this.faint;
    paper.lineWidth = 1;
    paper.setLineDash([]);
    for (const value of [0, high / 2, high]) { paper.beginPath(); paper.moveTo(0, y(value)); paper.lineTo(width, y(value)); paper.stroke(); }
    paper.fillStyle = this.ink;
    paper.font = "11px system-ui, sans-serif";
    paper.fillText(panel.show(high), 2, y(high) - 3);
    panel.names.forEach((name, place) => {
      paper.strokeStyle = this.colours[place % 6];
      paper.setLineDash(DASHES[place % 6]);
      paper.lineWidth = 1.6;
      paper.beginPath();
      let drawing = false;
      rows.forEach((row, i) => {
        const value = row[name];
        if (value === null || value === undefined) { drawing = false; return; }
        const at = x(this.points[i].at_ms);
        if (drawing) paper.lineTo(at, y(value)); else paper.moveTo(at, y(value));
        drawing = true;
      });
      paper.stroke();
    });
    if (!rows.some((row) => panel.names.some((name) => row[name] !== null && row[name] !== undefined))) {
      paper.textAlign = "center";
      paper.fillText(panel.idle || "nothing yet", width / 2, height / 2 + 4);
      paper.textAlign = "start";
    }
    const words = panel.names.map((name) => [name, last[name] === null || last[name] === undefined ? "–" : panel.show(last[name])]);
    canvas.setAttribute("aria-label", `${panel.title}, ${panel.unit}: ${words.map(([name, value]) => `${name} ${value}`).join(", ") || "nothing yet"}`);
    panel.legend.replaceChildren(...words.map(([name, value], place) => {
      const item = document.createElement("span"), line = document.createElement("i"), figure = document.createElement("b");
      item.className = `d${place % 6 ? (place % 3) || 3 : 0}`;
      line.style.setProperty("--c", this.colours[place % 6]);
      figure.textContent = value;
      item.append(line, `${name} `, figure);
      return item;
    }));
  }
}
