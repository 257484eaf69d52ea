// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Finds the places for pictures and fills them: with what stands in the page, or is fetched.

async function bytesFor(place) {
  const held = place.querySelector("script[type='application/octet-stream']");
  if (held) return inflated(held.textContent);
  const answer = await fetch(place.dataset.source, { cache: "no-store" });
  if (answer.ok) return new Uint8Array(await answer.arrayBuffer());
  const text = (await answer.text()).trim();
  throw new Error(text.startsWith("{") ? JSON.parse(text).error : text);
}

async function fill(place) {
  const status = element("p", { class: "picture-status", role: "status" }, "Drawing …");
  place.append(status);
  try {
    const map = decode(await bytesFor(place));
    status.remove();
    if (!map.count) {
      place.append(element("p", { class: "picture-status" }, "It has no VMA."));
      return;
    }
    place.view = new View(place, map);
    connect(place.view);
    performance.mark("vmad-picture");
  } catch (error) {
    status.textContent = `There is no picture: ${error.message}`;
  }
}

// buttons beside a cause light it up in the picture
function connect(view) {
  for (const button of document.querySelectorAll("button.light")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      view.show(Number(button.dataset.entry));
      view.frame.scrollIntoView({ block: "center" });
      view.frame.focus({ preventScroll: true });
    });
  }
}

for (const words of document.querySelectorAll("details.words")) words.open = false;
for (const place of document.querySelectorAll(".picture")) fill(place);
