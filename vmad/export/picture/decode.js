// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// From bytes (picture.py, encoded) to typed arrays: where each VMA begins and ends, in units of
// head.unit bytes, its look and its name.

class Numbers {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  next() {
    let byte = this.bytes[this.at++];
    if (byte < 128) return byte;
    let value = byte & 127;
    let weight = 128;
    do {
      byte = this.bytes[this.at++];
      value += (byte & 127) * weight; // beyond 32 bits: no shifts
      weight *= 128;
    } while (byte > 127);
    return value;
  }
}

function decode(bytes) {
  const headBytes = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + headBytes)));
  let at = 4 + headBytes;
  const [looks, pages, gaps, names] = head.columns.map((length) => {
    at += length;
    return new Numbers(bytes.subarray(at - length, at));
  });
  const count = head.vmas;
  const map = {
    head,
    count,
    begin: new Float64Array(count),
    end: new Float64Array(count),
    look: new Uint32Array(count),
    name: new Int32Array(count).fill(-1),
    regions: head.regions.map((region, index) => ({
      label: region.label,
      first: region.first,
      stop: index + 1 < head.regions.length ? head.regions[index + 1].first : count,
    })),
  };
  const afterGap = head.looks.map((look) => look[LOOK.gap] === 1);
  const named = head.looks.map((look) => look[LOOK.named] === 1);
  let last = -1;
  let fresh = 0;
  for (const region of map.regions) {
    // without addresses each region counts from its own beginning
    let place = region.first === 0 || !head.addresses ? head.first : map.end[region.first - 1];
    for (let i = region.first; i < region.stop; i++) {
      const look = looks.next();
      map.look[i] = look;
      if (afterGap[look]) place += gaps.next();
      map.begin[i] = place;
      place += pages.next();
      map.end[i] = place;
      if (named[look]) {
        const number = names.next();
        if (number === 1) last = fresh++;
        else if (number > 1) last = number - 2;
        map.name[i] = last;
      }
    }
  }
  return map;
}

// where what stands in a look; entries of the ways of colouring follow
const LOOK = { rights: 0, flags: 1, case: 2, gap: 3, named: 4, modes: 5 };

async function inflated(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
