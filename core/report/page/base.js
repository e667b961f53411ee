// SPDX-License-Identifier: Apache-2.0
// Errors are kept where a test can read them; one figure that fails does not take the others with it.
const root = document.documentElement;
const problems = [];
const report = (problem) => {
  problems.push(String(problem));
  root.dataset.errors = JSON.stringify(problems);
};
addEventListener("error", (event) => report(event.message));
addEventListener("unhandledrejection", (event) => report(event.reason));
root.dataset.errors = "[]";

const data = JSON.parse(document.getElementById("data").textContent);
const arms = data.arms ?? [];

// ---- elements

const put = (node, attributes, children) => {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
};
const html = (name, attributes, ...children) => put(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) =>
  put(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

// ---- numbers

const nothing = "–";
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const minus = (text) => text.replace(/^-/, "−");
const fixed = (value, digits) => (isNumber(value) ? minus(value.toFixed(digits)) : nothing);
const signed = (value, digits) => (isNumber(value) && value > 0 ? "+" : "") + fixed(value, digits);
const digits = (value, count = 3) => {
  if (!isNumber(value)) return nothing;
  if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-4)) return minus(value.toExponential(count - 1));
  return minus(String(Number(value.toPrecision(count))));
};
const scaled = (value, units, space) => {
  if (!isNumber(value)) return nothing;
  let index = 0;
  while (index + 1 < units.length && Math.abs(value) >= 999.5) [value, index] = [value / 1000, index + 1];
  return digits(value) + (units[index] ? space + units[index] : "");
};
const whole = (value) => (isNumber(value) ? minus(Math.round(value).toLocaleString("en")) : nothing);
const count = (value) => scaled(value, ["", "k", "M", "G", "T", "P"], " ");
const bytes = (value) => scaled(value, ["B", "kB", "MB", "GB", "TB"], " ");
const seconds = (value) => (value >= 5400 ? fixed(value / 3600, 1) + " h" : value >= 90 ? fixed(value / 60, 1) + " min" : digits(value) + " s");
const percent = (value) => (isNumber(value) ? fixed(100 * value, value < 0.1 && value > 0 ? 1 : 0) + " %" : nothing);

const cut = (text, length) => (text.length > length ? text.slice(0, Math.max(1, length - 1)) + "…" : text);

// ---- how an arm looks: never by colour alone

const dashes = ["", "7 3", "2 3", "9 3 2 3", "12 4", "4 2 1 2 1 2", "1 2", "14 3 3 3"];
const shapes = [
  "M-4.5,0a4.5,4.5 0 1 0 9,0a4.5,4.5 0 1 0-9,0z", "M-4,-4h8v8h-8z", "M0,-5.5L5,4H-5z", "M0,-6L5,0L0,6L-5,0z",
  "M0,5.5L5,-4H-5z", "M-1.6,-5h3.2v3.4h3.4v3.2h-3.4v3.4h-3.2v-3.4h-3.4v-3.2h3.4z",
  "M0,-6L1.6,-1.8L6,-1.6L2.6,1.2L3.7,5.4L0,3L-3.7,5.4L-2.6,1.2L-6,-1.6L-1.6,-1.8z", "M-5,-2.5L0,-5.5L5,-2.5V2.5L0,5.5L-5,2.5z"];
// After eight the colours come again, with the next dash and shape.
const look = (index) => ({
  color: `var(--s${index % 8})`,
  dash: dashes[(index + Math.floor(index / 8)) % dashes.length],
  shape: shapes[(index + 3 * Math.floor(index / 8)) % shapes.length],
});
const armLook = (name) => look(Math.max(0, arms.findIndex((arm) => arm.name === name)));

// ---- parts that figures share

const table = (caption, header, rows, name) =>
  html("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": caption },
    html("table", { "data-table": name }, html("caption", {}, caption),
      html("thead", {}, html("tr", {}, header.map((title, i) => html("th", { scope: "col", class: i ? "n" : null }, title)))),
      html("tbody", {}, rows.map((row) => html("tr", {}, row.map((cell, i) =>
        html(i ? "td" : "th", { class: i ? "n" : null, scope: i ? null : "row" }, String(cell))))))));

// Tables of figures are made when they are opened: they are long, and few readers want them.
const tableDetails = (summary, make) => {
  const details = html("details", { class: "as-table" }, html("summary", {}, summary));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(make());
  });
  return details;
};

const radios = (title, name, options, chosen, change) =>
  html("fieldset", { role: "radiogroup", "aria-label": title }, html("legend", {}, title), options.map(([value, label]) =>
    html("label", {}, html("input", { type: "radio", name, value, checked: value === chosen, onchange: () => change(value) }), label)));

const select = (title, options, chosen, change) =>
  html("label", {}, title, html("select", { "aria-label": title, onchange: (event) => change(event.target.value) },
    options.map(([value, label]) => html("option", { value, selected: value === chosen }, label))));

// Draws into a host now and whenever its width changes. Returns a function that draws again.
const responsive = (host, draw) => {
  let width = 0;
  const again = () => {
    if (width > 0) host.replaceChildren(draw(width));
  };
  const measure = () => {
    const now = Math.floor(host.clientWidth);
    if (now === width || now === 0) return;
    width = now;
    again();
  };
  // In a frame of its own: a drawing changes heights, and the observer must not see that while it reports.
  new ResizeObserver(() => requestAnimationFrame(measure)).observe(host);
  queueMicrotask(measure);  // once the host is in the page
  return again;
};
