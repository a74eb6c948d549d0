// Buttons that act. Each first asks the server what it would do, says so, and acts only on a second press.

const byId = (id) => document.getElementById(id);

export async function api(method, path, body) {
  const options = { method, headers: { Accept: "application/json" } };
  if (method !== "GET") { options.headers["Content-Type"] = "application/json"; options.body = JSON.stringify(body ?? {}); }
  const answer = await fetch(path, options);
  const document_ = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw Object.assign(new Error([document_?.error, document_?.hint].filter(Boolean).join("; ") || `HTTP ${answer.status}`), { status: answer.status });
  return document_;
}

function option(value, text = value, disabled = false) {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = text;
  made.disabled = disabled;
  return made;
}

const SYMBOLIC = ["primary", "one-standby", "sync-standby", "minority", "majority", "all", "dcs-leader", "dcs-member", "dcs-majority", "dcs-all", "client"];

export class Controls {
  constructor(state) {
    this.state = state;
    this.dialog = byId("ask");
    this.asked = 0;
    byId("ask-no").addEventListener("click", () => this.dialog.close());
    byId("ask-yes").addEventListener("click", () => this.act());
    this.dialog.addEventListener("close", () => { this.intent = null; });
    for (const button of document.querySelectorAll("[data-act]")) button.addEventListener("click", () => this.open(button.dataset.act));
  }

  async open(kind) {
    const lab = this.state.lab;
    const base = `/api/v1/labs/${encodeURIComponent(lab)}`;
    const titles = { switchover: "Switchover", failover: "Failover", inject: "Inject a fault", heal: "Heal", drill: "Start a drill" };
    byId("ask-title").textContent = titles[kind] + (lab && kind !== "drill" ? ` on ${lab}` : "");
    byId("ask-fields").replaceChildren();
    this.clear();
    this.kind = kind;
    this.dialog.showModal();
    try {
      if (kind === "switchover" || kind === "failover") this.moving(`${base}/${kind}`);
      else if (kind === "inject") await this.injecting(`${base}/inject`, `${base}/faults`);
      else if (kind === "heal") this.preview(`${base}/heal`, () => ({}));
      else await this.drilling();
    } catch (error) { byId("ask-error").textContent = error.message; }
  }

  clear() {
    byId("ask-says").replaceChildren();
    byId("ask-command").textContent = "";
    byId("ask-error").textContent = "";
    byId("ask-yes").disabled = true;
  }

  field(label, element, about) {
    const name = document.createElement("label");
    element.id = `ask-${label.replace(/\W+/g, "-")}`;
    name.htmlFor = element.id;
    name.textContent = label;
    byId("ask-fields").append(name, element);
    if (about) { const small = document.createElement("small"); small.textContent = about; byId("ask-fields").append(small); }
    return element;
  }

  choice(label, options) {
    const select = document.createElement("select");
    select.append(...options);
    return this.field(label, select);
  }

  moving(path) {
    const nodes = this.state.scene.nodes.filter((node) => ["standby", "read-only"].includes(node.role));
    const target = this.choice("to", [option("", "the manager's choice"), ...nodes.map((node) => option(node.name))]);
    this.preview(path, () => (target.value ? { target: target.value } : {}), [target]);
  }

  async injecting(path, list) {
    const { faults } = await api("GET", list);
    const there = faults.filter((one) => one.available), not = faults.filter((one) => !one.available);
    const group = document.createElement("optgroup");
    group.label = "not available here";
    group.append(...not.map((one) => option(one.name, `${one.name}: ${one.reason}`, true)));
    const chosen = this.choice("fault", [...there.map((one) => option(one.name)), group]);
    chosen.value = there.some((one) => one.name === "net_partition") ? "net_partition" : there[0].name;
    const nodes = this.state.scene.nodes.map((node) => node.name);
    const on = this.choice("on", [...SYMBOLIC, ...nodes].map((name) => option(name)));
    const fixed = byId("ask-fields").childElementCount;
    const body = () => ({ fault: chosen.value, on: on.value, params: Object.fromEntries(inputs.filter((one) => one.input.value !== one.before).map((one) => [one.name, typed(one.input.value)])) });
    let inputs = [];
    const params = () => {
      while (byId("ask-fields").childElementCount > fixed) byId("ask-fields").lastElementChild.remove();
      const kind = faults.find((one) => one.name === chosen.value);
      on.value = [...on.options].some((one) => one.value === kind.on) ? kind.on : "primary";
      inputs = kind.params.map((param) => {
        const input = document.createElement("input");
        input.value = param.default === null ? "" : String(param.default);
        this.field(param.unit ? `${param.name} (${param.unit})` : param.name, input, param.about);
        return { name: param.name, input, before: input.value };
      });
      this.preview(path, body, [on, ...inputs.map((one) => one.input)]);
    };
    chosen.addEventListener("change", params);
    params();
  }

  async drilling() {
    const { suites, presets } = await api("GET", "/api/v1/drills");
    const drill = this.choice("drill", Object.entries(suites).map(([suite, names]) => {
      const group = document.createElement("optgroup");
      group.label = suite;
      group.append(...names.map((name) => option(name)));
      return group;
    }));
    drill.value = "postgres-kill";
    const where = this.choice("on", [...(this.state.lab ? [option(`lab:${this.state.lab}`, `the lab ${this.state.lab}`)] : []), ...presets.map((name) => option(`preset:${name}`, `a new lab: ${name}`))]);
    if (!this.state.lab) where.value = "preset:patroni";
    const sets = this.field("settings", document.createElement("input"), "key=value, more after a blank: sync=off profile=fast");
    this.preview("/api/v1/drills", () => {
      const [kind, name] = where.value.split(/:(.*)/s);
      return { drill: drill.value, ...(kind === "lab" ? { lab: name } : { system: name }), sets: sets.value.split(/\s+/).filter(Boolean) };
    }, [drill, where, sets]);
  }

  // Asks what would be done, now and whenever a field has changed.
  preview(path, body, fields = []) {
    this.intent = { path, body };
    const ask = async () => {
      const turn = ++this.asked;
      byId("ask-yes").disabled = true;
      try {
        const said = await api("POST", path, { ...body(), preview: true });
        if (turn !== this.asked || !this.dialog.open) return;
        this.clear();
        byId("ask-says").replaceChildren(...said.says.map((sentence) => { const line = document.createElement("p"); line.textContent = sentence; return line; }));
        byId("ask-command").textContent = said.command;
        byId("ask-yes").classList.toggle("harm", said.harm);
        byId("ask-yes").disabled = false;
      } catch (error) {
        if (turn === this.asked) { this.clear(); byId("ask-error").textContent = error.message; }
      }
    };
    for (const field of fields) field.onchange = ask;
    ask();
  }

  async act() {
    if (!this.intent) return;
    const { path, body } = this.intent;
    byId("ask-yes").disabled = true;
    try {
      await api("POST", path, body());
      this.dialog.close();
    } catch (error) { byId("ask-error").textContent = error.message; }
  }
}

function typed(text) {
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  return text === "true" ? true : text === "false" ? false : text;
}
