// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The flame graph of `vmad blame`: one box per frame, as wide as the VMAs that it made.
// Node: [name, VMAs, detail, children]; those at one depth are causes, which give the colours.
"use strict";
(() => {
  const root = JSON.parse(document.getElementById("tree").textContent);
  const graph = document.getElementById("graph");
  const status = document.getElementById("status");
  const search = document.getElementById("search");
  const ROW = 20;
  let zoomed = root;
  let path = [root];

  const legend = document.getElementById("legend");
  const CAUSES = Number(graph.dataset.causes);
  const causes = new Map();

  const collect = (node, depth) => {
    if (depth === CAUSES) causes.set(node[0], (causes.get(node[0]) ?? 0) + node[1]);
    else node[3].forEach((child) => collect(child, depth + 1));
  };
  collect(root, 0);
  const ordered = [...causes].sort((one, other) => other[1] - one[1]);
  const numbers = new Map(ordered.map(([name], number) => [name, number]));

  const link = (node, parent, cause, depth) => {
    node.parent = parent;
    node.cause = depth === CAUSES ? numbers.get(node[0]) : cause;
    node[3].forEach((child) => link(child, node, node.cause, depth + 1));
  };
  link(root, null, -1, 0);

  const shade = (cause, lighter) => `hsl(${(24 + cause * 67) % 360} 62% calc(var(--light) + ${lighter}%))`;
  const colour = (node) => {
    if (node.cause < 0) return "var(--box)";
    let hash = 0;
    for (const c of node[0]) hash = (hash * 31 + c.codePointAt(0)) >>> 0;
    return shade(node.cause, hash % 9);
  };

  ordered.slice(0, 8).forEach(([name, vmas], number) => {
    const entry = document.createElement("span");
    const square = document.createElement("i");
    square.style.background = shade(number, 0);
    entry.append(square, `${name} ${vmas.toLocaleString("en")}`);
    legend.append(entry);
  });

  const said = (node) => {
    const share = (100 * node[1]) / root[1];
    const detail = node[2] ? `, ${node[2]}` : "";
    return `${node[0]}: ${node[1].toLocaleString("en")} VMAs (${share.toFixed(1)} %)${detail}`;
  };

  const box = (node, left, width, depth, above) => {
    const element = document.createElement("button");
    element.className = above ? "box above" : "box";
    element.style.left = `${left * 100}%`;
    element.style.width = `${width * 100}%`;
    element.style.top = `${depth * ROW}px`;
    element.style.background = colour(node);
    // a letter or two say nothing
    if (width * graph.clientWidth >= 28) element.textContent = node[0];
    element.title = said(node);
    element.setAttribute("aria-label", said(node));
    element.node = node;
    graph.append(element);
  };

  const draw = () => {
    graph.textContent = "";
    path = [];
    for (let node = zoomed; node; node = node.parent) path.unshift(node);
    let deepest = path.length;
    path.forEach((node, depth) => box(node, 0, 1, depth, depth < path.length - 1));
    const least = 1.5 / Math.max(graph.clientWidth, 300);
    const beneath = (node, left, depth, scale) => {
      for (const child of node[3]) {
        const width = (child[1] / node[1]) * scale;
        if (width >= least) {
          box(child, left, width, depth, false);
          deepest = Math.max(deepest, depth + 1);
          beneath(child, left, depth + 1, width);
        }
        left += width;
      }
    };
    beneath(zoomed, 0, path.length, 1);
    graph.style.height = `${deepest * ROW}px`;
    mark();
  };

  const fits = (node, text) => `${node[0]}\n${node[2]}`.toLowerCase().includes(text);

  const mark = () => {
    const text = search.value.trim().toLowerCase();
    let found = 0;
    const count = (node) => {
      if (text && fits(node, text)) {
        found += node[1];
        return;
      }
      node[3].forEach(count);
    };
    count(root);
    for (const element of graph.children) {
      element.classList.toggle("found", Boolean(text) && fits(element.node, text));
    }
    graph.classList.toggle("searched", Boolean(text));
    status.textContent = text
      ? `${found.toLocaleString("en")} VMAs (${((100 * found) / root[1]).toFixed(1)} %) made through “${search.value.trim()}”`
      : said(zoomed);
  };

  graph.addEventListener("click", (event) => {
    const node = event.target.node;
    if (!node) return;
    zoomed = node === zoomed && node.parent ? node.parent : node;
    draw();
    graph.children[path.length - 1].focus();
  });
  const tell = (event) => {
    if (event.target.node && !search.value) status.textContent = said(event.target.node);
  };
  graph.addEventListener("mouseover", tell);
  graph.addEventListener("focusin", tell);
  search.addEventListener("input", mark);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      search.value = "";
      zoomed = root;
      draw();
    }
  });
  addEventListener("resize", draw);
  draw();
})();
