// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Where what stands: each dense region is a paragraph of lines, as wide as the picture. A VMA's
// width grows with the logarithm of its size (or all are alike), gaps are narrow.

const HEAD_HEIGHT = 20; // CSS pixels above a region's lines: its name
const GAP_HEIGHT = 22; // between two regions: what is not mapped
const MARGIN = 1; // between two lines
const TALLEST = 8e6; // a browser draws no element that is taller
const WIDEST = 64; // pixels per unit
const LEGIBLE = 12; // pixels per unit of a region that fits into one line so

class Layout {
  constructor(map, alike) {
    this.map = map;
    const { begin, end, look, regions, head } = map;
    const afterGap = head.looks.map((one) => one[LOOK.gap] === 1);
    this.left = new Float64Array(map.count); // in units of width, from the region's beginning
    this.right = new Float64Array(map.count);
    const logarithms = Float64Array.from({ length: 4096 }, (_, n) => Math.log2(Math.max(n, 1)));
    const log = (n) => (n < 4096 ? logarithms[n] : Math.log2(n));
    this.units = regions.map((region) => {
      let place = 0;
      for (let i = region.first; i < region.stop; i++) {
        if (afterGap[look[i]] && i > region.first) {
          place += alike ? 0.5 : 0.5 + 0.15 * log(begin[i] - end[i - 1]);
        }
        this.left[i] = place;
        place += alike ? 1 : 1 + 0.5 * log(end[i] - begin[i]);
        this.right[i] = place;
      }
      return place;
    });
  }

  // width and scale: CSS pixels, and those per unit
  arrange(width, scale) {
    this.width = width;
    this.scale = scale;
    this.lineHeight = Math.round(Math.min(8 + 5.2 * Math.log2(Math.max(scale, 1)), 34));
    const step = this.lineHeight + MARGIN;
    let top = 0;
    this.paragraphs = this.map.regions.map((region, index) => {
      if (index) top += GAP_HEIGHT;
      const own = this.scaleOf(index, width, scale);
      const lines = this.linesOf(index, width, scale);
      const paragraph = { region, index, top, lines, scale: own, first: top + HEAD_HEIGHT };
      top += HEAD_HEIGHT + lines * step;
      return paragraph;
    });
    this.height = top + 2;
  }

  // small regions are as wide as one line has room for
  scaleOf(index, width, scale) {
    return Math.max(scale, Math.min(LEGIBLE, width / this.units[index]));
  }

  linesOf(index, width, scale) {
    const pixels = this.units[index] * this.scaleOf(index, width, scale);
    return Math.max(1, Math.ceil(pixels / width - 1e-6));
  }

  heightAt(width, scale) {
    const step = Math.round(Math.min(8 + 5.2 * Math.log2(Math.max(scale, 1)), 34)) + MARGIN;
    const lines = this.units.map((_, index) => this.linesOf(index, width, scale));
    const heads = lines.length * HEAD_HEIGHT + (lines.length - 1) * GAP_HEIGHT;
    return heads + step * lines.reduce((sum, number) => sum + number, 0);
  }

  // the largest scale at which all of it is at most so high
  fitting(width, height) {
    let low = 1e-7;
    let high = WIDEST;
    if (this.heightAt(width, high) <= height) return high;
    for (let step = 0; step < 50; step++) {
      const middle = Math.sqrt(low * high);
      if (this.heightAt(width, middle) <= height) low = middle;
      else high = middle;
    }
    return low;
  }

  paragraphAt(y) {
    const { paragraphs } = this;
    let low = 0;
    for (let high = paragraphs.length - 1; low < high; ) {
      const middle = (low + high + 1) >> 1;
      if (paragraphs[middle].top <= y) low = middle;
      else high = middle - 1;
    }
    return paragraphs[low];
  }

  // the VMA at a place, -1 where there is none; near: the nearest one of that line
  at(x, y, near = false) {
    const paragraph = this.paragraphAt(y);
    if (!paragraph) return -1;
    const step = this.lineHeight + MARGIN;
    let line = Math.floor((y - paragraph.first) / step);
    if (!near && (line < 0 || line >= paragraph.lines)) return -1;
    line = Math.min(Math.max(line, 0), paragraph.lines - 1);
    const unit = (line * this.width + Math.min(Math.max(x, 0), this.width - 0.01)) / paragraph.scale;
    const i = this.firstAfter(paragraph.region, unit);
    if (i === paragraph.region.stop) return near ? i - 1 : -1;
    return near || this.left[i] <= unit ? i : -1;
  }

  // the first VMA of a region that ends after this unit
  firstAfter(region, unit) {
    let low = region.first;
    for (let high = region.stop; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.right[middle] > unit) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  paragraphOf(i) {
    return this.paragraphs.find(({ region }) => i < region.stop);
  }

  // [{i, x, y, width}]: pieces of VMAs in sight that have room for a word
  roomy(top, height) {
    const found = [];
    if (this.lineHeight < 15) return found;
    const step = this.lineHeight + MARGIN;
    for (const paragraph of this.paragraphs) {
      const { region, scale, first, lines } = paragraph;
      const from = Math.max(0, Math.floor((top - first) / step));
      const to = Math.min(lines, Math.ceil((top + height - first) / step));
      for (let line = from; line < to; line++) {
        const begin = line * this.width;
        for (let i = this.firstAfter(region, begin / scale); i < region.stop; i++) {
          const x = Math.max(this.left[i] * scale - begin, 0);
          if (x >= this.width) break;
          const width = Math.min(this.right[i] * scale - begin, this.width) - x;
          if (width > 50) found.push({ i, x, y: first + line * step - top, width });
        }
      }
    }
    return found;
  }

  // the pieces of lines that a VMA lies on, at most so many
  pieces(i, most = 40) {
    const paragraph = this.paragraphOf(i);
    const found = [];
    const from = this.left[i] * paragraph.scale;
    const to = Math.max(this.right[i] * paragraph.scale, from + 0.5);
    const step = this.lineHeight + MARGIN;
    for (let line = Math.floor(from / this.width); line * this.width < to; line++) {
      if (found.length === most || line >= paragraph.lines) break;
      const start = Math.max(from - line * this.width, 0);
      const stop = Math.min(to - line * this.width, this.width);
      found.push({ x: start, y: paragraph.first + line * step, width: stop - start });
    }
    return found;
  }
}
