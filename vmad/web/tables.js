// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Tables that sort by a column and a field that filters their rows by name.

function valueOf(row, column) {
  const cell = row.cells[column];
  const number = cell.querySelector("data");
  if (number) return Number(number.value);
  const words = cell.textContent.trim();
  return words === "–" || words === "" ? null : words.toLowerCase();
}

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null); // what is not known is last
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return (a < b ? -1 : a > b ? 1 : 0) * sign;
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    if (!head.textContent) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numeric = head.classList.contains("number") || head.classList.contains("near");
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : numeric;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
      rows.sort(([a], [b]) => compare(a, b, down ? -1 : 1));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

function filter(tables) {
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "filter by name";
  field.setAttribute("aria-label", "show only rows whose name has this in it");
  const told = document.createElement("span");
  told.setAttribute("role", "status");
  const line = document.createElement("p");
  line.className = "filter";
  line.append(field, told);
  document.querySelector("main").before(line);
  const folds = document.querySelectorAll("main details");
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    let shown = 0;
    for (const table of tables) {
      for (const row of table.tBodies[0].rows) {
        const names = row.cells[0].textContent + (row.dataset.also || "");
        row.hidden = !names.toLowerCase().includes(wanted);
        shown += row.hidden ? 0 : 1;
      }
    }
    for (const fold of folds) fold.open = wanted !== "" || fold.wasOpen === true;
    told.textContent = wanted ? `${shown} ${shown === 1 ? "row" : "rows"}` : "";
  });
  for (const fold of folds) {
    fold.addEventListener("toggle", () => {
      if (!field.value) fold.wasOpen = fold.open;
    });
  }
}

const tables = [...document.querySelectorAll("table.sortable")];
tables.forEach(sortable);
if (tables.length) filter(tables);
