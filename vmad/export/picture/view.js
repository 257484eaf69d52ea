// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The picture in its frame: scrolled by the browser, zoomed, hovered over, walked through by keys.

const ZOOM_STEP = 1.6;
const TALL = 640; // CSS pixels of the frame at most
const HINT =
  "Point at a block, or walk with the arrow keys. Zoom: + and −, Ctrl and wheel, double click. " +
  "n, p: the next one of the lit colour. Esc: nothing lit.";

class View {
  constructor(place, map) {
    this.map = map;
    this.teller = new Teller(map);
    this.painter = new Painter(map);
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.mode = Math.max(this.teller.change, 0);
    this.alike = false;
    this.hovered = -1;
    this.chosen = -1;
    this.legend = new Legend(map, (lit) => this.light(lit), (step) => this.stepLit(step));
    this.build(place);
    this.layout = new Layout(map, this.alike);
    this.legend.show(this.mode, this.dark.matches);
    this.fit();
    this.dark.addEventListener("change", () => this.legend.show(this.mode, this.dark.matches));
    new ResizeObserver(() => this.resized()).observe(this.frame);
  }

  build(place) {
    const { head, count } = this.map;
    this.base = element("canvas", { class: "picture-base" });
    this.over = element("canvas", { class: "picture-over" });
    this.sizer = element(
      "div",
      { class: "picture-sizer" },
      element("div", { class: "picture-pane" }, this.base, this.over),
    );
    this.frame = element(
      "div",
      {
        class: "picture-frame",
        tabindex: "0",
        role: "application",
        "aria-label": `${number(count)} VMAs of ${head.comm} in ${this.map.regions.length} regions`,
        "aria-describedby": "picture-hint",
        onscroll: () => this.scrolled(),
        onkeydown: (event) => this.key(event),
        onblur: () => this.hideTip(),
      },
      this.sizer,
    );
    this.frame.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.listenToPointers();
    this.tip = element("div", { class: "picture-tip", "aria-hidden": "true", hidden: true });
    this.told = element("div", { class: "picture-told", "aria-live": "polite" });
    place.append(
      this.bar(),
      this.frame,
      element("p", { class: "picture-hint", id: "picture-hint" }, HINT),
      this.legend.list,
      this.legend.note,
      this.told,
      this.tip,
    );
  }

  bar() {
    const choices = this.map.head.modes.map(({ title }, index) =>
      this.choice("colours", title, index === this.mode, () => this.colourBy(index)),
    );
    this.inputs = choices.map((choice) => choice.firstChild);
    const widths = ["by size", "all alike"].map((title, index) =>
      this.choice("widths", title, index === 0, () => {
        this.alike = index === 1;
        this.layout = new Layout(this.map, this.alike);
        this.fit();
      }),
    );
    const group = (title, parts) =>
      element("fieldset", {}, element("legend", {}, title), ...parts);
    const button = (text, label, act) =>
      element("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
    return element(
      "div",
      { class: "picture-bar" },
      group("Colour", choices),
      group("Width", widths),
      element(
        "div",
        { class: "picture-zoom" },
        button("−", "zoom out", () => this.zoom(1 / ZOOM_STEP)),
        button("fit", "all of it", () => this.fit()),
        button("+", "zoom in", () => this.zoom(ZOOM_STEP)),
      ),
    );
  }

  choice(name, title, checked, act) {
    const input = element("input", { type: "radio", name: `picture-${name}`, checked, onchange: act });
    return element("label", {}, input, element("span", {}, title));
  }

  // --- sizes

  get width() {
    return Math.max(this.frame.clientWidth, 40);
  }

  fit() {
    const tall = Math.min(Math.max(innerHeight * 0.62, 200), TALL);
    const scale = this.layout.fitting(this.width, tall);
    this.fitted = scale;
    this.arrange(scale);
    this.frame.style.height = `${Math.min(Math.ceil(this.layout.height), Math.ceil(tall) + 12)}px`;
    this.frame.scrollTop = 0;
    this.draw();
  }

  arrange(scale) {
    const height = (wanted) => this.layout.heightAt(this.width, wanted);
    let chosen = Math.min(Math.max(scale, this.fitted), WIDEST);
    while (height(chosen) > TALLEST && chosen > this.fitted) chosen /= 1.1;
    this.layout.arrange(this.width, chosen);
    this.sizer.style.height = `${Math.ceil(this.layout.height)}px`;
  }

  resized() {
    if (this.width === this.layout.width) return;
    const zoomed = this.layout.scale > this.fitted * 1.01;
    if (!zoomed) this.fit();
    else this.zoom(1);
  }

  // around: a place in the frame (CSS pixels) that stays where it is
  zoom(factor, around) {
    let anchor = this.chosen;
    let y = this.frame.clientHeight / 2;
    if (around) {
      y = around.y;
      anchor = this.layout.at(around.x, this.frame.scrollTop + y, true);
    } else if (anchor < 0) {
      anchor = this.layout.at(this.width / 2, this.frame.scrollTop + y, true);
    }
    this.arrange(this.layout.scale * factor);
    const [piece] = anchor < 0 ? [] : this.layout.pieces(anchor, 1);
    if (piece) this.frame.scrollTop = piece.y + this.layout.lineHeight / 2 - y;
    this.draw();
  }

  // --- drawing: once a frame at most

  draw() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.paint();
      this.outline();
    });
  }

  paint() {
    const ratio = devicePixelRatio || 1;
    const [width, height] = [this.width, this.frame.clientHeight];
    for (const canvas of [this.base, this.over]) {
      const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (canvas.width !== w || canvas.height !== h) {
        canvas.width = w;
        canvas.height = h;
        canvas.style.width = `${width}px`;
        canvas.style.height = `${height}px`;
      }
    }
    const context = this.base.getContext("2d", { alpha: false });
    this.painter.colour(this.mode, this.legend.lit, this.dark.matches);
    this.painter.paint(context, this.layout, this.frame.scrollTop, ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.write(context, this.layout.roomy(this.frame.scrollTop, height));
    context.setTransform(1, 0, 0, 1, 0, 0);
  }

  write(context, labels) {
    const style = getComputedStyle(this.frame);
    context.textBaseline = "middle";
    context.font = `11px ${style.fontFamily}`;
    for (const { i, x, y, width } of labels) {
      const fitting = this.words(i, width).find((words) => context.measureText(words).width < width - 9);
      if (!fitting) continue;
      context.fillStyle = this.painter.ink[this.map.look[i]];
      context.fillText(fitting, x + 6, y + this.layout.lineHeight / 2 + 0.5);
    }
    const top = this.frame.scrollTop;
    for (const paragraph of this.layout.paragraphs) {
      const y = paragraph.top - top;
      if (y > this.frame.clientHeight || y < -GAP_HEIGHT - HEAD_HEIGHT) continue;
      if (paragraph.index) this.writeGap(context, paragraph, y - GAP_HEIGHT / 2, style);
      this.writeHead(context, paragraph, y + HEAD_HEIGHT / 2, style);
    }
  }

  // what may be written into a block, the best first
  words(i, width) {
    const name = this.teller.name(i).split("/").pop();
    const brief = [this.teller.brief(i), size(this.map.end[i] - this.map.begin[i])];
    if (!name) return brief;
    const letters = Math.floor((width - 9) / 6);
    const short = letters > 5 && name.length > letters ? [`${name.slice(0, letters - 1)}…`] : [];
    return [name, ...short, ...brief];
  }

  writeHead(context, { region }, y, style) {
    const { begin, end, head } = this.map;
    context.font = `600 12px ${style.fontFamily}`;
    context.fillStyle = style.color;
    context.fillText(region.label, 1, y);
    const after = context.measureText(region.label).width + 12;
    const count = region.stop - region.first;
    const extent = end[region.stop - 1] - begin[region.first];
    const where = head.addresses ? `  ·  from ${this.teller.address(begin[region.first])}` : "";
    const what = `${number(count)} ${count === 1 ? "VMA" : "VMAs"}  ·  ${size(extent)}`;
    context.font = `12px ${style.fontFamily}`;
    context.fillStyle = style.getPropertyValue("--faint");
    const fits = after + context.measureText(what + where).width < this.width;
    context.fillText(fits ? what + where : what, after, y);
  }

  writeGap(context, { region }, y, style) {
    const { begin, end, head } = this.map;
    const gap = head.addresses ? `${size(begin[region.first] - end[region.first - 1])} unmapped` : "unmapped";
    context.strokeStyle = style.getPropertyValue("--line");
    context.fillStyle = style.getPropertyValue("--faint");
    context.font = `11px ${style.fontFamily}`;
    const half = context.measureText(gap).width / 2 + 10;
    const middle = this.width / 2;
    context.setLineDash([2, 4]);
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(middle - half, y);
    context.moveTo(middle + half, y);
    context.lineTo(this.width, y);
    context.stroke();
    context.setLineDash([]);
    context.textAlign = "center";
    context.fillText(gap, middle, y);
    context.textAlign = "start";
  }

  outline() {
    const ratio = devicePixelRatio || 1;
    const context = this.over.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.frame.clientHeight);
    const ink = getComputedStyle(this.frame).color;
    for (const [i, width] of [[this.hovered, 1.5], [this.chosen, 2.5]]) {
      if (i < 0) continue;
      context.strokeStyle = ink;
      context.lineWidth = width;
      for (const piece of this.layout.pieces(i)) {
        const y = piece.y - this.frame.scrollTop;
        const w = Math.max(piece.width, 3);
        context.strokeRect(piece.x + (piece.width - w) / 2, y, w, this.layout.lineHeight);
      }
    }
  }

  // --- what is lit, chosen, told

  light(lit) {
    if (!this.layout) return;
    if (lit >= 0 && !this.isLit(this.chosen)) this.chosen = -1;
    this.draw();
    if (lit >= 0 && this.chosen < 0 && this.layout.scale > this.fitted * 1.01) this.stepLit(1);
  }

  // light up an entry of what keeps VMAs apart
  show(entry) {
    if (this.mode !== this.teller.why) {
      this.inputs[this.teller.why].checked = true;
      this.colourBy(this.teller.why);
    }
    if (this.legend.lit !== entry) this.legend.toggle(entry);
  }

  colourBy(mode) {
    this.mode = mode;
    this.legend.lit = -1;
    this.legend.show(mode, this.dark.matches);
  }

  isLit(i) {
    if (i < 0) return false;
    const look = this.teller.look(i);
    if (this.legend.lit >= 0) return look[LOOK.modes + this.mode] === this.legend.lit;
    return this.teller.entry(i, this.teller.why).apart;
  }

  stepLit(step) {
    let i = this.chosen < 0 ? (step > 0 ? 0 : this.map.count - 1) : this.chosen + step;
    while (i >= 0 && i < this.map.count && !this.isLit(i)) i += step;
    if (i >= 0 && i < this.map.count) this.choose(i);
  }

  choose(i, quietly = false) {
    this.chosen = i;
    if (i >= 0) {
      const [piece] = this.layout.pieces(i, 1);
      const room = this.layout.lineHeight * 1.5;
      const { scrollTop, clientHeight } = this.frame;
      if (piece.y - room < scrollTop) this.frame.scrollTop = piece.y - room;
      else if (piece.y + 2 * room > scrollTop + clientHeight) {
        this.frame.scrollTop = piece.y + 2 * room - clientHeight;
      }
    }
    this.told.replaceChildren(...(i < 0 ? [] : this.telling(i)));
    if (!quietly) this.hideTip();
    this.outline();
    this.draw();
  }

  telling(i) {
    const rows = this.teller
      .lines(i)
      .map(([label, text]) => element("div", {}, element("span", {}, label), element("span", {}, text)));
    return [element("strong", {}, this.teller.title(i)), ...rows];
  }

  showTip(i, x, y) {
    this.tip.replaceChildren(...this.telling(i));
    this.tip.hidden = false;
    const { offsetWidth, offsetHeight } = this.tip;
    const left = x + 16 + offsetWidth > innerWidth ? x - offsetWidth - 12 : x + 16;
    const top = y + 18 + offsetHeight > innerHeight ? y - offsetHeight - 12 : y + 18;
    this.tip.style.left = `${Math.max(left, 4)}px`;
    this.tip.style.top = `${Math.max(top, 4)}px`;
  }

  hideTip() {
    this.tip.hidden = true;
    this.hovered = -1;
    this.outline();
  }

  scrolled() {
    this.draw();
    if (this.hovered >= 0) this.hideTip();
  }
}
