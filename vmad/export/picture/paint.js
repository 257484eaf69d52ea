// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Draws the lines that are in sight, pixel by pixel: a pixel that holds many VMAs has their mean
// colour, so that what repeats is a texture and the work never exceeds what is in sight.

function rgb(colour) {
  const number = parseInt(colour.slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}

function mixed(a, b, share) {
  return a.map((channel, n) => channel + (b[n] - channel) * share);
}

const DIMMED = 0.86; // how far what is not lit goes into the ground
const BLENDED = 0.4; // how much of a boundary that costs shows where VMAs are thinner than it
const FADED = 0.42;
const LUMINANCE = [0.2126, 0.7152, 0.0722];

class Painter {
  constructor(map) {
    this.map = map;
  }

  // mode: index of the way of colouring; lit: entry of that mode, or -1; dark: which colours
  colour(mode, lit, dark) {
    const wanted = `${mode} ${lit} ${dark}`;
    if (wanted === this.coloured) return;
    this.coloured = wanted;
    const { looks, modes } = this.map.head;
    const theme = dark ? 1 : 0;
    this.ground = rgb(dark ? "#1a1f26" : "#ffffff");
    this.faint = rgb(dark ? "#252c35" : "#eef1f4");
    this.hatch = rgb(dark ? "#333c47" : "#dde2e8");
    const why = modes.findIndex(({ key }) => key === "why");
    const fills = new Float32Array(looks.length * 3); // where a VMA is wide
    const means = new Float32Array(looks.length * 3); // where it is thin
    const edges = new Float32Array(looks.length * 3);
    this.costs = new Uint8Array(looks.length);
    this.ink = looks.map((look, n) => {
      const entry = modes[mode].entries[look[LOOK.modes + mode]];
      const reason = modes[why].entries[look[LOOK.modes + why]];
      let fill = rgb(entry.colours[theme]);
      // what may be written and what may not alternate: one sees it in one colour, too
      if (reason.apart && mode === why && !(look[LOOK.rights] & 2)) {
        fill = mixed(fill, this.ground, FADED);
      }
      let edge = mixed(rgb(reason.colours[theme]), dark ? [255, 255, 255] : [0, 0, 0], 0.15);
      const costs = reason.apart;
      let mean = costs && mode !== why ? mixed(fill, edge, BLENDED) : fill;
      if (lit >= 0 && look[LOOK.modes + mode] !== lit) {
        fill = mixed(fill, this.ground, DIMMED);
        mean = mixed(mean, this.ground, DIMMED);
        edge = mixed(edge, this.ground, DIMMED);
      }
      fills.set(fill, n * 3);
      means.set(mean, n * 3);
      edges.set(edge, n * 3);
      this.costs[n] = costs ? 1 : 0;
      const light = fill.reduce((sum, channel, c) => sum + channel * LUMINANCE[c], 0);
      return light > 128 ? "#14181d" : "#f4f6f8";
    });
    Object.assign(this, { fills, means, edges, painted: null, summed: null });
  }

  // context of a canvas of width × height device pixels; top: CSS pixels scrolled away
  paint(context, layout, top, ratio) {
    const { width, height } = context.canvas;
    const above = Math.round(top * ratio);
    let from = above;
    let to = above + height;
    const same = this.painted?.layout === layout && this.painted.scale === layout.scale;
    if (!this.image || this.image.width !== width || this.image.height !== height) {
      this.image = context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.red = new Float32Array(width);
      this.green = new Float32Array(width);
      this.blue = new Float32Array(width);
      this.covered = new Float32Array(width);
      this.hatched = new Uint8Array(width);
      this.row = new Uint32Array(width);
      this.gapRow = new Uint32Array(width);
    } else if (same && Math.abs(above - this.painted.above) < height) {
      // scrolled: what was in sight is moved, and only what comes into sight is drawn
      const moved = above - this.painted.above;
      this.pixels.copyWithin(Math.max(-moved, 0) * width, Math.max(moved, 0) * width, (height + Math.min(moved, 0)) * width);
      if (moved > 0) from = to - moved;
      else to = from - moved;
    }
    this.painted = { layout, scale: layout.scale, above };
    if (from < to) this.band(layout, from, to, above, ratio);
    context.putImageData(this.image, 0, 0);
  }

  // draw what lies between two device pixels, counted from the top of everything
  band(layout, from, to, above, ratio) {
    const width = this.row.length;
    this.pixels.fill(packed(this.ground), (from - above) * width, (to - above) * width);
    const step = layout.lineHeight + MARGIN;
    const tall = Math.round(layout.lineHeight * ratio);
    for (let p = layout.paragraphAt(from / ratio).index; p < layout.paragraphs.length; p++) {
      const paragraph = layout.paragraphs[p];
      if (paragraph.top * ratio > to) break;
      const first = Math.max(0, Math.floor((from / ratio - paragraph.first) / step) - 1);
      for (let line = first; line < paragraph.lines; line++) {
        const y = Math.round((paragraph.first + line * step) * ratio);
        if (y >= to) break;
        if (y + tall <= from) continue;
        this.line(layout, paragraph, line, ratio);
        this.copy(Math.max(y, from) - above, Math.min(y + tall, to) - above);
      }
    }
  }

  line(layout, paragraph, line, ratio) {
    const { red, green, blue, covered, hatched } = this;
    const { look } = this.map;
    const { left, right } = layout;
    const width = red.length;
    red.fill(0);
    green.fill(0);
    blue.fill(0);
    covered.fill(0);
    hatched.fill(0);
    const scale = paragraph.scale * ratio;
    const begin = line * layout.width * ratio;
    const { region } = paragraph;
    const first = layout.firstAfter(region, begin / scale);
    const stop = layout.firstAfter(region, (begin + width) / scale);
    if (stop - first > 3 * width) {
      this.thin(layout, paragraph, first, begin, scale);
      return;
    }
    let before = 0; // where the last VMA ended
    for (let i = first; i < region.stop; i++) {
      const kind = look[i];
      const real = left[i] * scale - begin;
      if (real >= width) break;
      const x0 = Math.max(real, 0);
      const x1 = Math.min(right[i] * scale - begin, width);
      if (x0 - before >= 3) hatched.fill(1, Math.ceil(before), Math.floor(x0));
      before = x1;
      const wide = (right[i] - left[i]) * scale >= 3;
      const colours = wide ? this.fills : this.means;
      const r = colours[kind * 3];
      const g = colours[kind * 3 + 1];
      const b = colours[kind * 3 + 2];
      let pixel = Math.floor(x0);
      const last = Math.min(Math.floor(x1), width - 1);
      for (; pixel <= last; pixel++) {
        const share = Math.min(x1, pixel + 1) - Math.max(x0, pixel);
        red[pixel] += r * share;
        green[pixel] += g * share;
        blue[pixel] += b * share;
        covered[pixel] += share;
      }
      if (wide && real >= 0) this.edge(kind, Math.round(x0), (x1 - x0) / ratio, ratio);
    }
    if (width - before >= 3 && (before + begin) / scale < layout.units[paragraph.index] - 0.01) {
      hatched.fill(1, Math.ceil(before), width); // a gap that goes on in the next line
    }
    this.mix();
  }

  // a boundary that costs is a stroke of its reason's colour, any other a hair
  edge(kind, x, wide, ratio) {
    const costs = this.costs[kind];
    const size = costs && wide > 9 ? Math.round(2 * ratio) : 1;
    const colour = costs ? this.edges.subarray(kind * 3, kind * 3 + 3) : this.ground;
    for (let pixel = x; pixel < Math.min(x + size, this.red.length); pixel++) {
      this.red[pixel] = colour[0];
      this.green[pixel] = colour[1];
      this.blue[pixel] = colour[2];
      this.covered[pixel] = 1;
    }
  }

  // many VMAs in each pixel: the difference of two sums over all VMAs, however many there are
  thin(layout, { region }, first, begin, scale) {
    if (this.summed !== layout) this.sum(layout);
    const { sums, row, ground } = this;
    const { left, right } = layout;
    const { look } = this.map;
    const colours = this.means;
    const [groundRed, groundGreen, groundBlue] = ground;
    const { stop } = region;
    let i = first;
    let [red, green, blue, covered] = [0, 0, 0, 0];
    for (let x = -1; x < row.length; x++) {
      const unit = (begin + x + 1) / scale;
      // gallop: the next pixel is not far
      let step = 1;
      while (i + step < stop && right[i + step] <= unit) step *= 2;
      let high = Math.min(i + step, stop);
      while (i < high) {
        const middle = (i + high) >> 1;
        if (right[middle] > unit) high = middle;
        else i = middle + 1;
      }
      const at = i * 4;
      let r = sums[at];
      let g = sums[at + 1];
      let b = sums[at + 2];
      let c = sums[at + 3];
      if (i < stop && unit > left[i]) {
        const part = unit - left[i];
        const kind = look[i] * 3;
        r += part * colours[kind];
        g += part * colours[kind + 1];
        b += part * colours[kind + 2];
        c += part;
      }
      if (x >= 0) {
        const rest = Math.max(1 - (c - covered) * scale, 0);
        row[x] =
          (255 << 24) |
          (((b - blue) * scale + groundBlue * rest) << 16) |
          (((g - green) * scale + groundGreen * rest) << 8) |
          ((r - red) * scale + groundRed * rest);
      }
      red = r;
      green = g;
      blue = b;
      covered = c;
    }
  }

  sum(layout) {
    const { look, count } = this.map;
    const { left, right } = layout;
    const sums = this.sums?.length === (count + 1) * 4 ? this.sums : new Float64Array((count + 1) * 4);
    for (let i = 0; i < count; i++) {
      const wide = right[i] - left[i];
      const kind = look[i] * 3;
      const at = i * 4;
      sums[at + 4] = sums[at] + wide * this.means[kind];
      sums[at + 5] = sums[at + 1] + wide * this.means[kind + 1];
      sums[at + 6] = sums[at + 2] + wide * this.means[kind + 2];
      sums[at + 7] = sums[at + 3] + wide;
    }
    this.sums = sums;
    this.summed = layout;
  }

  mix() {
    const { red, green, blue, covered, row, ground } = this;
    const [r, g, b] = ground;
    for (let x = 0; x < row.length; x++) {
      const share = covered[x];
      const over = share > 1 ? 1 / share : 1;
      const rest = share > 1 ? 0 : 1 - share;
      row[x] =
        (255 << 24) |
        ((blue[x] * over + b * rest) << 16) |
        ((green[x] * over + g * rest) << 8) |
        (red[x] * over + r * rest);
    }
  }

  // the line from device pixel y to another, in the image
  copy(y, end) {
    const { pixels, row, hatched, gapRow } = this;
    const width = row.length;
    const gaps = hatched.includes(1);
    const faint = packed(this.faint);
    const hatch = packed(this.hatch);
    for (let at = y; at < end; at++) {
      if (!gaps) {
        pixels.set(row, at * width);
        continue;
      }
      for (let x = 0; x < width; x++) {
        gapRow[x] = hatched[x] ? ((x + at + this.painted.above) % 7 < 2 ? hatch : faint) : row[x];
      }
      pixels.set(gapRow, at * width);
    }
  }
}

function packed([red, green, blue]) {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}
