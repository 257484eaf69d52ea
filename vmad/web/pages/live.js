// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// The page as it is now: asked for again every few seconds while somebody looks at it.

const SLOWEST = 60;

function keep(old, renewed) {
  // headings with their order, what is unfolded, and a headline that still says the same
  const tables = [...renewed.querySelectorAll("table.sortable")];
  for (const before of old.querySelectorAll("table.sortable")) {
    // what is shown and what unfolds have one caption
    const at = tables.findIndex((one) => one.caption.textContent === before.caption.textContent);
    if (at < 0) continue;
    const [after] = tables.splice(at, 1);
    after.tHead.replaceWith(before.tHead);
    sorted(after);
  }
  const folds = renewed.querySelectorAll("details");
  old.querySelectorAll("details").forEach((fold, number) => {
    if (folds[number]) folds[number].open = fold.open;
  });
  const [told, tells] = [old.querySelector(".now"), renewed.querySelector(".now")];
  if (told && tells && told.textContent === tells.textContent) tells.replaceWith(told);
}

function focusIn(main) {
  const node = document.activeElement;
  if (!main.contains(node)) return () => {};
  const label = node.getAttribute("aria-label");
  const href = node.getAttribute("href");
  const number = [...main.querySelectorAll("summary")].indexOf(node);
  return () => {
    const again = node.isConnected ? node
      : href ? main.querySelector(`a[href="${CSS.escape(href)}"]`)
      : label ? main.querySelector(`[aria-label="${CSS.escape(label)}"]`)
      : main.querySelectorAll("summary")[number];
    if (again) again.focus({ preventScroll: true });
  };
}

function live(main, line) {
  const usual = Number(main.dataset.live);
  const button = document.createElement("button");
  button.type = "button";
  button.className = "light";
  const told = document.createElement("span");
  told.className = "renewed";
  line.append(button, told);
  let [paused, wait, last] = [false, usual, new Date()];

  function say(why) {
    button.textContent = paused ? "go on" : "pause";
    button.setAttribute("aria-label", paused ? "renew this page again" : "stop renewing this page");
    const at = last.toLocaleTimeString();
    told.textContent = paused ? `as of ${at}` : why ? `as of ${at}: ${why}` : `renewed every ${usual} s`;
  }

  async function look() {
    const reading = String(getSelection()) !== "";
    if (!paused && !document.hidden && !reading) {
      try {
        const reply = await fetch(location.href, { cache: "no-store" });
        if (!reply.ok) throw new Error(reply.status === 503 ? "too many look" : `error ${reply.status}`);
        const page = new DOMParser().parseFromString(await reply.text(), "text/html");
        const renewed = page.querySelector("main");
        if (!paused && renewed) {
          const refocus = focusIn(main);
          keep(main, renewed);
          main.replaceChildren(...renewed.childNodes);
          const [header, newer] = [document.querySelector("header"), page.querySelector("header")];
          if (header && newer) header.replaceChildren(...newer.childNodes);
          refocus();
          filtered();
          [wait, last] = [usual, new Date()];
          say("");
        }
      } catch (error) {
        wait = Math.min(2 * wait, SLOWEST);
        say(error instanceof TypeError ? "vmad does not answer" : error.message);
      }
    }
    // viewers do not come all at once
    setTimeout(look, 1000 * wait * (0.9 + 0.2 * Math.random()));
  }

  button.addEventListener("click", () => {
    paused = !paused;
    say("");
  });
  say("");
  setTimeout(look, 1000 * wait);
}
