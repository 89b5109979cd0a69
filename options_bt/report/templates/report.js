"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Tables: a click on a heading sorts, undefined values last.
  const value = (row, number, numeric) => {
    const cell = row.cells[number];
    if (!numeric) return cell.textContent;
    return "v" in cell.dataset ? Number(cell.dataset.v) : null;
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  function sort(heading) {
    const body = heading.closest("table").tBodies[0];
    const numeric = heading.classList.contains("n");
    const before = heading.getAttribute("aria-sort");
    // Numbers start with the largest.
    const descending = before ? before === "ascending" : numeric;
    all("th[aria-sort]", heading.parentNode).forEach((one) => one.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const keyed = [...body.rows].map((row) => [value(row, heading.cellIndex, numeric), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return descending ? compare(b, a) : compare(a, b);
    });
    body.append(...keyed.map(([, row]) => row));
  }
  all("thead th button").forEach((button) => button.addEventListener("click", () => sort(button.closest("th"))));

  function filter(form) {
    const rows = [...document.getElementById(form.dataset.table).tBodies[0].rows];
    const wanted = all("select", form).filter((one) => one.value).map((one) => [Number(one.dataset.column), one.value]);
    const words = form.querySelector("input").value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of rows) {
      const fits = wanted.every(([number, text]) => row.cells[number].textContent === text);
      const text = row.textContent.toLowerCase();
      row.hidden = !(fits && words.every((word) => text.includes(word)));
      shown += !row.hidden;
    }
    form.querySelector("output").textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
  }
  all("form[data-table]").forEach((form) => form.addEventListener("input", () => filter(form)));
  all("form").forEach((form) => form.addEventListener("submit", (event) => event.preventDefault()));

  // Charts: drawn when first shown, in the colours of the page.
  const narrow = matchMedia("(max-width: 40rem)");
  function theme() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const axis = { gridcolor: color("--line"), zerolinecolor: color("--muted"), linecolor: color("--line") };
    return {
      layout: {
        paper_bgcolor: color("--paper"),
        plot_bgcolor: color("--paper"),
        font: { color: color("--ink"), family: getComputedStyle(document.body).fontFamily, size: 13 },
        hoverlabel: { bgcolor: color("--panel"), bordercolor: color("--muted"), font: { color: color("--ink") } },
        xaxis: axis,
        yaxis: axis,
      },
    };
  }
  // Without these, plotly.js offers to upload charts to its makers.
  const config = { responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "" };
  function draw(div) {
    const { data, layout } = figures[div.dataset.figure];
    const own = { template: theme(), dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom" };
    // On a narrow screen a label for all lines would hide the chart.
    if (narrow.matches && layout.hovermode) own.hovermode = "closest";
    return Plotly.react(div, data, { ...layout, ...own }, config);
  }
  const visible = (div) => !div.closest("[hidden]");
  const drawAll = () => all(".chart").filter(visible).forEach(draw);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", drawAll);
  narrow.addEventListener("change", drawAll);
  // Printed pages have other colours and another width.
  matchMedia("print").addEventListener("change", drawAll);

  // Choices: one panel at a time.
  function show(select) {
    const name = select.form.dataset.panels;
    all(`[data-panel="${name}"]`).forEach((panel) => (panel.hidden = panel.id !== select.value));
    all(".chart", document.getElementById(select.value)).forEach(draw);
  }
  all("form[data-panels] select").forEach((select) => {
    all(`[data-panel="${select.form.dataset.panels}"]`).forEach((panel) => (panel.hidden = panel.id !== select.value));
    select.addEventListener("change", () => show(select));
  });
  function followHash() {
    const panel = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!panel || !panel.dataset.panel) return;
    const select = document.querySelector(`form[data-panels="${panel.dataset.panel}"] select`);
    select.value = panel.id;
    show(select);
    select.scrollIntoView();
    select.focus();
  }
  addEventListener("hashchange", followHash);

  // Heatmaps: any two axes, and a table of the same numbers.
  const form = document.getElementById("heatmap-choices");
  const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  function written(number, format) {
    if (number === null) return "";
    const digits = Number(format.match(/\d/)[0]);
    return format.endsWith("%") ? `${(number * 100).toFixed(digits)}%` : number.toFixed(digits);
  }
  function element(name, text, attributes = {}) {
    const made = Object.assign(document.createElement(name), { textContent: text });
    Object.entries(attributes).forEach(([key, one]) => made.setAttribute(key, one));
    return made;
  }
  function heatmap(changed) {
    const { axes, filters, formats, scales, cells } = JSON.parse(document.getElementById("heatmap-cells").textContent);
    const { down, across, metric } = form.elements;
    if (down.value === across.value) {
      const other = changed === down ? across : down;
      other.value = Object.keys(axes).find((name) => name !== changed.value);
    }
    const chosen = Object.keys(filters).map((name) => {
      const select = form.elements[`filter-${name}`];
      select.disabled = name === down.value || name === across.value;
      return select.disabled ? filters[name][0] : select.value;
    });
    const straight = cells[`${down.value}|${across.value}`];
    const found = (straight || cells[`${across.value}|${down.value}`])[chosen.join("|")][metric.value];
    const [xs, ys] = [axes[across.value], axes[down.value]];
    const z = straight ? found : ys.map((_, row) => xs.map((_, column) => found[column][row]));
    paint(xs, ys, z, formats[metric.value], scales);
    const title = `Mean ${metric.value} by ${down.value} and ${across.value}`;
    const where = Object.keys(filters).map((name, number) => `${name} ${chosen[number]}`).join(", ");
    tabulate(xs, ys, z, formats[metric.value], where ? `${title}; ${where}` : title);
  }
  function paint(xs, ys, z, format, scales) {
    const figure = figures.heatmap;
    const { down, across, metric } = form.elements;
    const numbers = z.flat().filter((one) => one !== null);
    const both = Math.min(...numbers) < 0 && Math.max(...numbers) > 0;
    const hover = `${escape(across.value)} %{x}<br>${escape(down.value)} %{y}<br>%{z:${format}}<extra></extra>`;
    Object.assign(figure.data[0], {
      x: xs.map(escape), y: ys.map(escape), z, texttemplate: `%{z:${format}}`, hovertemplate: hover,
      colorscale: both ? scales.diverging : scales.sequential, zmid: both ? 0 : undefined,
    });
    figure.layout.xaxis.title.text = escape(across.value);
    figure.layout.yaxis.title.text = escape(down.value);
    figure.layout.height = 110 + Math.max(230, 34 * ys.length);
    const div = document.getElementById("chart-heatmap");
    const range = numbers.length ? `, from ${written(Math.min(...numbers), format)} to ${written(Math.max(...numbers), format)}` : "";
    const title = `Mean ${metric.value} by ${down.value} and ${across.value}`;
    div.setAttribute("aria-label", `Heatmap: ${title}${range}; the table below has its numbers.`);
    div.closest("figure").querySelector("figcaption").textContent = title;
    draw(div);
  }
  function tabulate(xs, ys, z, format, caption) {
    const table = document.getElementById("heatmap-table");
    const { down, across } = form.elements;
    const head = document.createElement("tr");
    head.append(element("th", `${down.value} / ${across.value}`, { scope: "col" }));
    head.append(...xs.map((x) => element("th", x, { scope: "col", class: "n" })));
    const rows = ys.map((y, number) => {
      const row = document.createElement("tr");
      row.append(element("th", y, { scope: "row" }));
      row.append(...z[number].map((one) => element("td", written(one, format), { class: "n" })));
      return row;
    });
    table.replaceChildren(element("caption", caption), head, ...rows);
  }
  if (form) {
    form.elements.across.selectedIndex = 1;
    form.addEventListener("change", (event) => heatmap(event.target));
    heatmap(form.elements.down);
  }
  drawAll();
  followHash();
})();
