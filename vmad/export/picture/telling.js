// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// What a VMA is, in words.

const SIZES = ["KiB", "MiB", "GiB", "TiB", "PiB"];

function size(units) {
  let value = units * 4;
  let name = 0;
  while (value >= 1024 && name < SIZES.length - 1) {
    value /= 1024;
    name++;
  }
  const text = Number.isInteger(value) || value >= 100 ? value.toFixed(0) : value.toFixed(1);
  return `${text} ${SIZES[name]}`;
}

function rights(bits) {
  const letters = ["r", "w", "x"].map((letter, n) => ((bits >> n) & 1 ? letter : "-"));
  return letters.join("") + (bits & 8 ? "s" : "p");
}

function number(value) {
  return value.toLocaleString("en-US");
}

function share(part, whole) {
  const value = (100 * part) / Math.max(whole, 1);
  return value > 0 && value < 0.1 ? "<0.1 %" : `${value.toFixed(1)} %`;
}

class Teller {
  constructor(map) {
    this.map = map;
    const { modes } = map.head;
    this.why = modes.findIndex(({ key }) => key === "why");
    this.kind = modes.findIndex(({ key }) => key === "kind");
    this.change = modes.findIndex(({ key }) => key === "change");
  }

  look(i) {
    return this.map.head.looks[this.map.look[i]];
  }

  address(units) {
    return `0x${(units * this.map.head.unit).toString(16)}`;
  }

  range(i) {
    const { begin, end, head } = this.map;
    if (head.addresses) return `${this.address(begin[i])} – ${this.address(end[i])}`;
    return `${size(begin[i])} into its region`.replace(/^0 KiB into/, "at the beginning of");
  }

  brief(i) {
    return `${rights(this.look(i)[LOOK.rights])} ${size(this.map.end[i] - this.map.begin[i])}`;
  }

  name(i) {
    const index = this.map.name[i];
    return index < 0 ? "" : this.map.head.names[index];
  }

  entry(i, mode) {
    return this.map.head.modes[mode].entries[this.look(i)[LOOK.modes + mode]];
  }

  // why VMA i is not one with the one below it; "" where the two form no pair
  boundary(i) {
    const found = this.map.head.cases[this.look(i)[LOOK.case]];
    if (!found) return "";
    const { reasons } = this.map.head;
    const further = found.reasons.slice(1);
    const names = found.verdict === "mergeable" ? found.decisive : found.reasons[0];
    const also = further.length ? ` Further: ${further.join(", ")}.` : "";
    const patched =
      found.verdict === "blocked" && found.patched === "mergeable" ? " The patched kernel joins them." : "";
    return `${found.verdict}: ${names}. ${reasons[found.decisive]}${also}${patched}`;
  }

  neighbour(i, step) {
    const other = i + step;
    const { begin, end, count } = this.map;
    const region = this.map.regions.find(({ stop }) => i < stop);
    if (other < 0 || other >= count) return "nothing";
    if (other < region.first || other >= region.stop) return "the next region";
    const gap = step < 0 ? begin[i] - end[other] : begin[other] - end[i];
    return (gap ? `${size(gap)} unmapped, then ` : "") + this.brief(other);
  }

  // [label, text] lines
  lines(i) {
    const { head } = this.map;
    const look = this.look(i);
    const lines = [["", this.range(i)]];
    const name = this.name(i);
    if (name) lines.push(["", name]);
    if (this.change >= 0) {
      const { title, sentence } = this.entry(i, this.change);
      lines.push(["change", `${title}: ${sentence}`]);
    }
    const below = this.boundary(i);
    const above = i + 1 < this.map.count ? this.boundary(i + 1) : "";
    lines.push(["below", this.neighbour(i, -1) + (below && `; ${below}`)]);
    const same = above && above === below;
    lines.push(["above", this.neighbour(i, 1) + (same ? "; the same" : above && `; ${above}`)]);
    const flags = head.flags[look[LOOK.flags]];
    if (flags) lines.push(["flags", flags]);
    return lines;
  }

  title(i) {
    return `${this.brief(i)}, ${this.entry(i, this.kind).title}`;
  }
}
