// The two tabs: one photo, and a batch.

import { $ } from "./dom.js";

const NAMES = ["photo", "batch"];

/** Show a tab. */
export function openTab(name) {
  for (const other of NAMES) {
    $(other).hidden = other !== name;
    $(`tab-${other}`).setAttribute("aria-selected", String(other === name));
    $(`tab-${other}`).tabIndex = other === name ? 0 : -1;
  }
  document.body.dataset.tab = name;
  // The part after # is no element's id: the browser would start the Tab key there.
  history.replaceState(null, "", name === NAMES[0] ? location.pathname : `#/${name}`);
}

/** Connect the tabs. The address keeps the open tab over a reload. */
export function startTabs() {
  for (const name of NAMES) {
    const tab = $(`tab-${name}`);
    tab.addEventListener("click", () => openTab(name));
    tab.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const other = NAMES[1 - NAMES.indexOf(name)];
      openTab(other);
      $(`tab-${other}`).focus();
    });
  }
  openTab(location.hash === "#/batch" ? "batch" : "photo");
}
