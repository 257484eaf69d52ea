// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What a page with tables begins with.

const tables = [...document.querySelectorAll("table.sortable")];
const whole = document.querySelector("main");
if (tables.length || whole.dataset.live) {
  const line = document.createElement("div");
  line.className = "filter";
  whole.before(line);
  tables.forEach(sortable);
  if (tables.length) filter(line);
  if (whole.dataset.live) live(whole, line);
}
