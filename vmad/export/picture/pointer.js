// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Mouse, touch and keys of the picture.

Object.assign(View.prototype, {
  place(event) {
    const box = this.frame.getBoundingClientRect();
    return { x: event.clientX - box.left - this.frame.clientLeft, y: event.clientY - box.top };
  },

  listenToPointers() {
    const down = new Map(); // pointers that touch, by id
    let dragged = false;
    let apart = 0; // of two fingers
    const { frame } = this;
    const distance = () => {
      const [a, b] = [...down.values()];
      return Math.hypot(a.x - b.x, a.y - b.y);
    };
    frame.addEventListener("pointerdown", (event) => {
      down.set(event.pointerId, this.place(event));
      dragged = false;
      if (down.size === 2) apart = distance();
    });
    frame.addEventListener("pointermove", (event) => {
      const place = this.place(event);
      const from = down.get(event.pointerId);
      if (!from) {
        this.hover(place, event);
        return;
      }
      if (down.size === 2) {
        down.set(event.pointerId, place);
        const now = distance();
        const [a, b] = [...down.values()];
        if (Math.abs(now / apart - 1) > 0.04) {
          this.zoom(now / apart, { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
          apart = now;
        }
        dragged = true;
      } else if (event.pointerType === "mouse") {
        if (!dragged && Math.hypot(place.x - from.x, place.y - from.y) < 4) return;
        if (!dragged) frame.setPointerCapture(event.pointerId);
        dragged = true;
        frame.scrollTop -= place.y - from.y;
        down.set(event.pointerId, place);
      }
    });
    const up = (event) => down.delete(event.pointerId);
    for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, up);
    frame.addEventListener("pointerleave", (event) => {
      up(event);
      this.hideTip();
    });
    frame.addEventListener("click", (event) => {
      if (dragged) return;
      const { x, y } = this.place(event);
      this.choose(this.layout.at(x, frame.scrollTop + y), true);
    });
    frame.addEventListener("dblclick", (event) => this.zoom(ZOOM_STEP ** 2, this.place(event)));
  },

  hover(place, event) {
    if (event.pointerType === "touch") return;
    const i = this.layout.at(place.x, this.frame.scrollTop + place.y);
    if (i < 0) {
      if (this.hovered >= 0) this.hideTip();
      return;
    }
    if (i !== this.hovered) {
      this.hovered = i;
      this.outline();
    }
    this.showTip(i, event.clientX, event.clientY);
  },

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const pixels = event.deltaMode ? event.deltaY * 30 : event.deltaY;
    this.zoom(Math.exp(-Math.max(-120, Math.min(pixels, 120)) * 0.006), this.place(event));
  },

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.floor(this.frame.clientHeight / (this.layout.lineHeight + MARGIN));
    const acts = {
      ArrowRight: () => this.choose(Math.min(this.chosen + 1, this.map.count - 1)),
      ArrowLeft: () => this.choose(Math.max(this.chosen - 1, 0)),
      ArrowDown: () => this.chooseLine(1),
      ArrowUp: () => this.chooseLine(-1),
      PageDown: () => this.chooseLine(page),
      PageUp: () => this.chooseLine(-page),
      Home: () => this.choose(0),
      End: () => this.choose(this.map.count - 1),
      "+": () => this.zoom(ZOOM_STEP),
      "=": () => this.zoom(ZOOM_STEP),
      "-": () => this.zoom(1 / ZOOM_STEP),
      0: () => this.fit(),
      n: () => this.stepLit(1),
      p: () => this.stepLit(-1),
      Escape: () => {
        this.choose(-1);
        if (this.legend.lit >= 0) this.legend.toggle(this.legend.lit);
      },
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  },

  // the VMA that is so many lines further down
  chooseLine(lines) {
    if (this.chosen < 0) {
      this.choose(lines > 0 ? 0 : this.map.count - 1);
      return;
    }
    const [piece] = this.layout.pieces(this.chosen, 1);
    const step = this.layout.lineHeight + MARGIN;
    let y = piece.y + step / 2;
    let i = this.chosen;
    // between two regions there is more than a line
    for (let more = 0; i === this.chosen && more < 60; more++) {
      y += Math.sign(lines) * (more ? step / 2 : step * Math.abs(lines));
      i = this.layout.at(piece.x + piece.width / 2, y, true);
      if (y < 0 || y > this.layout.height) break;
    }
    if (i >= 0) this.choose(i);
  },
});
