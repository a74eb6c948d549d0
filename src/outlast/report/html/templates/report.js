// The page reads without this. It adds: zooming, single operations, figures under the pointer, copying, downloads.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const bare = (cell) => cell.startsWith('"') ? cell.slice(1, -1) : cell;
  const byId = (id) => document.getElementById(id);

  async function unpacked(id) {
    const packed = Uint8Array.from(atob(byId(id).textContent), (char) => char.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).blob();
  }

  for (const button of document.querySelectorAll("[data-raw]")) {
    button.addEventListener("click", async () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await unpacked(button.dataset.raw));
      link.download = button.dataset.name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = byId(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(source);
        button.textContent = "selected";
      }
    });
  }

  // A stretch of seconds as few round moments.
  function ticks(start, end, most) {
    const span = end - start;
    if (span > 120) {
      const step = [30, 60, 120, 300, 600, 1800, 3600, 7200, 14400].find((one) => span / one <= most) || 28800;
      const found = [];
      for (let i = Math.ceil(start / step); i * step <= end; i++) found.push(i * step);
      return found;
    }
    const rough = span / most;
    const magnitude = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((one) => one * magnitude).find((one) => one >= rough * 0.9999);
    const found = [];
    for (let i = Math.ceil(start / step - 1e-9); i * step <= end + 1e-9; i++) found.push(i * step);
    return found;
  }

  function moment(seconds, span) {
    if (span > 120) return `${Math.floor(seconds / 60)}:${String(Math.round(seconds % 60)).padStart(2, "0")}`;
    const places = clamp(Math.ceil(-Math.log10(span / 8)), 0, 6);
    return `${Number(seconds.toFixed(places))} s`;
  }

  class Chart {
    constructor(element) {
      this.element = element;
      this.first = Number(element.dataset.start);
      this.last = Number(element.dataset.end);
      this.start = this.first;
      this.end = this.last;
      this.axis = element.querySelector(".axis .canvas");
      this.overlay = element.querySelector(".overlay");
      this.hair = element.querySelector(".hair");
      this.bars = [...element.querySelectorAll(".bar")];
      this.listeners = [];
      this.pending = false;
      this.interact();
    }

    get span() { return this.end - this.start; }

    show(start, end) {
      const whole = this.last - this.first;
      const span = clamp(end - start, whole / 5000, whole);
      const middle = (start + end) / 2;
      this.start = clamp(middle - span / 2, this.first, this.last - span);
      this.end = this.start + span;
      if (!this.pending) {
        this.pending = true;
        requestAnimationFrame(() => { this.pending = false; this.draw(); });
      }
    }

    draw() {
      const whole = this.last - this.first;
      const times = whole / this.span;
      const style = this.element.style;
      style.setProperty("--zw", `${times * 100}%`);
      style.setProperty("--zl", `${-((this.start - this.first) / this.span) * 100}%`);
      this.element.classList.toggle("sharp", times > 3);
      this.axis.replaceChildren(...ticks(this.start, this.end, innerWidth < 720 ? 4 : 8).map((at, place, all) => {
        const mark = document.createElement("span");
        mark.className = "xtick";
        mark.style.left = `${((at - this.first) / whole) * 100}%`;
        if ((at - this.start) / this.span > 0.93) mark.classList.add("last");
        if (place === 0 && (at - this.start) / this.span > 0.04) mark.style.transform = "translateX(-50%)";
        mark.textContent = moment(at, this.span);
        return mark;
      }));
      const left = (this.start - this.first) / whole * 100;
      const width = this.overlay.clientWidth * times;
      for (const bar of this.bars) { // words stay in view when their bar begins left of it
        const from = parseFloat(bar.style.left);
        const hidden = from < left && from + parseFloat(bar.style.width) > left ? (left - from) / 100 * width : 0;
        bar.style.setProperty("--pad", `${hidden}px`);
      }
      for (const listener of this.listeners) listener();
    }

    at(event) {
      const box = this.overlay.getBoundingClientRect();
      return this.start + clamp((event.clientX - box.left) / box.width, 0, 1) * this.span;
    }

    zoom(factor, about = (this.start + this.end) / 2) {
      this.show(about - (about - this.start) * factor, about + (this.end - about) * factor);
    }

    interact() {
      const element = this.element;
      element.addEventListener("keydown", (event) => {
        const step = this.span * 0.2;
        const moves = {
          ArrowLeft: () => this.show(this.start - step, this.end - step),
          ArrowRight: () => this.show(this.start + step, this.end + step),
          "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2),
          0: () => this.show(this.first, this.last),
        };
        if (event.target === element && moves[event.key] && !event.ctrlKey && !event.metaKey) {
          event.preventDefault();
          moves[event.key]();
        }
      });
      element.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && !event.shiftKey) return; // plain scrolling is the page's
        event.preventDefault();
        this.zoom(Math.exp((event.deltaY || event.deltaX) * 0.004), this.at(event));
      }, { passive: false });
      element.addEventListener("dblclick", () => this.show(this.first, this.last));
      let from = null;
      const box = document.createElement("div");
      box.className = "selection";
      element.addEventListener("pointerdown", (event) => {
        if (event.button !== 0 || event.pointerType === "touch" || !event.target.closest(".plot")) return;
        from = { x: event.clientX, at: this.at(event) };
        element.setPointerCapture(event.pointerId);
      });
      element.addEventListener("pointermove", (event) => {
        const view = this.overlay.getBoundingClientRect();
        const x = clamp(event.clientX - view.left, 0, view.width);
        this.hair.hidden = false;
        this.hair.style.left = `${x}px`;
        if (this.pointed) this.pointed(this.at(event), event);
        if (from && Math.abs(event.clientX - from.x) > 3) {
          const begun = clamp(from.x - view.left, 0, view.width);
          if (!box.isConnected) this.overlay.append(box);
          box.style.left = `${Math.min(begun, x)}px`;
          box.style.width = `${Math.abs(x - begun)}px`;
        }
      });
      element.addEventListener("pointerleave", () => { this.hair.hidden = true; });
      const end = (event) => {
        if (!from) return;
        const to = this.at(event);
        if (box.isConnected && Math.abs(event.clientX - from.x) > 3) this.show(Math.min(from.at, to), Math.max(from.at, to));
        box.remove();
        from = null;
      };
      element.addEventListener("pointerup", end);
      element.addEventListener("pointercancel", () => { box.remove(); from = null; });
    }
  }

  // Every operation that the page holds, drawn by client; read once the page stands.
  class Operations {
    constructor(chart, row) {
      this.chart = chart;
      this.canvas = row.querySelector("canvas");
      this.words = row.querySelector(".pick");
      this.lines = [];
      (window.requestIdleCallback || setTimeout)(() => this.load());
    }

    async load() {
      const lines = (await (await unpacked("raw-ops")).text()).split("\n");
      this.head = lines.shift().replaceAll('"', "").split(",");
      if (lines.at(-1) === "") lines.pop();
      const n = lines.length;
      const codes = { ok: 0, fail: 1, info: 2, local: 2 };
      this.lines = lines;
      this.from = new Float64Array(n);
      this.to = new Float64Array(n);
      this.client = new Int32Array(n);
      this.kind = new Uint8Array(n);
      for (let i = 0; i < n; i++) {
        const cells = lines[i].split(",", 8);
        this.client[i] = Number(cells[1]);
        this.from[i] = Number(cells[2]) / 1000;
        this.to[i] = cells[3] === "" ? this.chart.last : this.from[i] + Number(cells[3]) / 1000;
        this.kind[i] = bare(cells[7]) === "lost" ? 3 : codes[bare(cells[4])] ?? 2;
      }
      this.rows = new Map([...new Set(this.client)].sort((a, b) => a - b).map((client, row) => [client, row]));
      this.longest = 0;
      for (let i = 0; i < n; i++) if (this.to[i] < this.chart.last) this.longest = Math.max(this.longest, this.to[i] - this.from[i]);
      this.chart.listeners.push(() => this.draw());
      addEventListener("resize", () => this.draw());
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
      this.canvas.addEventListener("pointermove", (event) => this.pick(event));
      this.draw();
      root.dataset.operations = String(n);
    }

    // Ops are in order of invocation: begin with those that could still reach into the view.
    place(at) {
      let low = 0, high = this.from.length;
      while (low < high) { const middle = (low + high) >> 1; if (this.from[middle] < at) low = middle + 1; else high = middle; }
      return low;
    }

    draw() {
      const { canvas, chart } = this;
      const scale = devicePixelRatio || 1;
      const width = canvas.clientWidth, height = canvas.clientHeight;
      canvas.width = width * scale;
      canvas.height = height * scale;
      const paper = canvas.getContext("2d");
      paper.scale(scale, scale);
      const style = getComputedStyle(root);
      const colours = ["--kept", "--refused", "--unknown", "--loss"].map((name) => style.getPropertyValue(name));
      const line = height / Math.max(1, this.rows.size);
      const thick = Math.max(1, line - (line > 4 ? 2 : 0.5));
      const first = this.place(chart.start - this.longest), last = this.place(chart.end);
      const per = width / chart.span;
      for (let kind = 0; kind < 4; kind++) {
        paper.fillStyle = colours[kind];
        const share = [1, 0.55, 1, 0.8][kind]; // refused are thin, lost a little thinner than kept: told apart without colour
        for (let i = first; i < last; i++) {
          if (this.kind[i] !== kind || this.to[i] < chart.start) continue;
          const x = (this.from[i] - chart.start) * per;
          paper.fillRect(x, this.rows.get(this.client[i]) * line + thick * (1 - share) / 2, Math.max(0.8, (this.to[i] - this.from[i]) * per), thick * share);
        }
      }
    }

    pick(event) {
      const box = this.canvas.getBoundingClientRect();
      const at = this.chart.at(event);
      const row = Math.floor((event.clientY - box.top) / (box.height / this.rows.size));
      const slack = (this.chart.span / box.width) * 3;
      let best = -1, distance = slack;
      for (let i = this.place(at - this.longest - slack); i < this.from.length && this.from[i] <= at + slack; i++) {
        if (this.rows.get(this.client[i]) !== row) continue;
        const off = at < this.from[i] ? this.from[i] - at : at > this.to[i] ? at - this.to[i] : 0;
        if (off <= distance) { best = i; distance = off; }
      }
      this.words.textContent = best < 0 ? "" : this.told(this.lines[best]);
    }

    told(line) {
      const cells = line.match(/("([^"]|"")*"|[^,]*)(,|$)/g).map((cell) => cell.replace(/,$/, "").replace(/^"|"$/g, "").replaceAll('""', '"'));
      const op = Object.fromEntries(this.head.map((name, place) => [name, cells[place] ?? ""]));
      const what = [op.f, op.key && `key ${op.key}`, op.payload || op.value].filter(Boolean).join(" ").slice(0, 90);
      const where = [op.node, op.timeline !== "0" && `timeline ${op.timeline}`].filter(Boolean).join(", ");
      const took = op.took_ms === "" ? "never ended" : `${op.took_ms} ms`;
      return `op ${op.op}, client ${op.client}: ${what}; ${op.outcome}${op.fate ? ", LOST" : ""}, ${took}${where ? `, ${where}` : ""}${op.error ? ` (${op.error.slice(0, 80)})` : ""}`;
    }
  }

  const charts = new Map([...document.querySelectorAll(".chart[data-start]")].map((element) => [element.id, new Chart(element)]));
  for (const tools of document.querySelectorAll(".tools")) {
    const chart = charts.get(tools.dataset.for);
    if (!chart) continue;
    const readout = tools.querySelector(".readout");
    const buckets = JSON.parse(byId("buckets").textContent);
    for (const button of tools.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        const { zoom, start, end } = button.dataset;
        if (zoom === "in") chart.zoom(0.5);
        else if (zoom === "out") chart.zoom(2);
        else if (zoom === "all") chart.show(chart.first, chart.last);
        else chart.show(Number(start), Number(end));
      });
    }
    chart.pointed = (at) => {
      const i = Math.floor((at - buckets.start) / buckets.width);
      const parts = [["acknowledged", "kept"], ["lost later", "lost"], ["refused", "refused"], ["unknown", "unknown"]]
        .filter(([, name]) => buckets[name][i])
        .map(([words, name]) => `${Math.round(buckets[name][i])}/s ${words}`);
      readout.textContent = `${at.toFixed(3)} s: ${parts.join(", ") || "no operation ended"}`;
    };
  }
  for (const chart of charts.values()) chart.draw();
  const single = document.querySelector(".single");
  if (single) new Operations(charts.get("chart-run"), single);

  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) if (details.closest(".check, .loss")) details.open = true;
  });
  root.dataset.ready = "yes";
})();
