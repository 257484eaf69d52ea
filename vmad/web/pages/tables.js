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

function sorted(table) {
  // as its headings say
  const column = [...table.tHead.rows[0].cells].findIndex((head) => head.hasAttribute("aria-sort"));
  if (column < 0) return;
  const down = table.tHead.rows[0].cells[column].getAttribute("aria-sort") === "descending";
  const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
  rows.sort(([a], [b]) => compare(a, b, down ? -1 : 1));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head) => {
    if (!head.textContent || head.classList.contains("spark")) return;
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
      sorted(head.closest("table"));
    });
  });
}

const field = document.createElement("input");
const told = document.createElement("span");
const unfolded = new Set(); // numbers of what was unfolded before anybody filtered

function filtered() {
  const wanted = field.value.trim().toLowerCase();
  let shown = 0;
  for (const table of document.querySelectorAll("table.sortable")) {
    for (const row of table.tBodies[0].rows) {
      const names = row.cells[0].textContent + (row.dataset.also || "");
      row.hidden = !names.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
  }
  document.querySelectorAll("main details").forEach((fold, number) => {
    if (wanted !== "") fold.open = true;
    else if (field.dataset.before) fold.open = unfolded.has(number);
  });
  field.dataset.before = wanted;
  const words = wanted ? `${shown} ${shown === 1 ? "row" : "rows"}` : "";
  if (told.textContent !== words) told.textContent = words;
}

function filter(line) {
  field.type = "search";
  field.placeholder = "filter by name";
  field.setAttribute("aria-label", "show only rows whose name has this in it");
  told.setAttribute("role", "status");
  line.append(field, told);
  field.addEventListener("input", () => {
    if (field.dataset.before === "" || !("before" in field.dataset)) {
      unfolded.clear();
      document.querySelectorAll("main details").forEach((fold, number) => {
        if (fold.open) unfolded.add(number);
      });
    }
    filtered();
  });
}
