// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What the colours stand for, as buttons: one lights its VMAs up, says what it means, and leads from one to the next.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

class Legend {
  // light(entry): called with the entry that is lit, -1 for none; step(direction)
  constructor(map, light, step) {
    this.map = map;
    this.light = light;
    this.step = step;
    this.lit = -1;
    this.list = element("div", { class: "picture-legend", role: "group" });
    this.note = element("div", { class: "picture-note", "aria-live": "polite" });
  }

  show(mode, dark) {
    this.mode = mode;
    const { title, entries } = this.map.head.modes[mode];
    this.list.setAttribute("aria-label", title);
    this.buttons = entries.map((entry, index) => {
      const swatch = element("i", { "aria-hidden": "true" });
      swatch.style.background = entry.colours[dark ? 1 : 0];
      return element(
        "button",
        {
          type: "button",
          class: entry.apart ? "apart" : "",
          "aria-pressed": "false",
          hidden: entry.vmas === 0,
          onclick: () => this.toggle(index),
        },
        swatch,
        element("span", {}, entry.title),
        element("b", {}, number(entry.vmas)),
        element("small", {}, share(entry.vmas, this.map.count)),
      );
    });
    this.list.replaceChildren(...this.buttons);
    this.toggle(-1);
  }

  toggle(index) {
    this.lit = index === this.lit ? -1 : index;
    this.buttons.forEach((button, n) => button.setAttribute("aria-pressed", String(n === this.lit)));
    this.note.replaceChildren(...(this.lit < 0 ? [] : this.explained(this.lit)));
    this.light(this.lit);
  }

  explained(index) {
    const { sentence } = this.map.head.modes[this.mode].entries[index];
    const button = (text, label, act) =>
      element("button", { type: "button", "aria-label": label, onclick: act }, text);
    const steps = element(
      "span",
      { class: "picture-steps" },
      button("‹ previous", "previous of these", () => this.step(-1)),
      button("next ›", "next of these", () => this.step(1)),
    );
    return [element("p", {}, steps, sentence)];
  }
}
