// The border between before and after: a slider for mouse, finger and keyboard.

import { $, choose, chosen } from "./dom.js";
import { state, watch } from "./store.js";
import { isZoomed, onMove, visible } from "./viewer.js";

const split = $("split");
const view = $("view");
let share = 0.5; // position of the border in the visible part of the photo

/** Show before and after as the visitor chose, with the border at its place. */
function draw() {
  if (!state.content) return;
  const side = state.result ? chosen($("sides")) : "before";
  const box = visible();
  const at = { before: box.w, split: share * box.w, after: 0 }[side];
  $("after").style.clipPath = `inset(0 0 0 ${box.offset + at}px)`;
  $("after").hidden = side === "before";
  split.hidden = side !== "split";
  split.style.left = `${box.x + at}px`;
  split.style.top = `${box.y}px`;
  split.style.height = `${box.h}px`;
  const percent = Math.round(100 * share);
  split.setAttribute("aria-valuenow", percent);
  split.setAttribute("aria-valuetext", `${percent} % before`);
  for (const [tag, shown] of [
    ["before", side !== "after"],
    ["after", side !== "before"],
  ]) {
    const label = $(`tag-${tag}`);
    label.hidden = !shown || !state.result;
    label.style.top = `${box.y + 12}px`;
    label.style.left = tag === "before" ? `${box.x + 12}px` : "";
    label.style.right = tag === "after" ? `${view.parentElement.clientWidth - box.x - box.w + 12}px` : "";
  }
}

function move(to) {
  share = Math.min(1, Math.max(0, to));
  draw();
}

/** Follow the pointer from the handle, or from anywhere on a photo that is not zoomed. */
function follow(event) {
  const split_shown = state.result && chosen($("sides")) === "split";
  if (!split_shown || event.button !== 0) return;
  const target = event.currentTarget;
  if (target === view && (isZoomed() || event.target === view)) return;
  const track = (pointer) => {
    const box = visible();
    move((pointer.clientX - view.getBoundingClientRect().left - box.x) / box.w);
  };
  const stop = () => target.removeEventListener("pointermove", track);
  target.setPointerCapture(event.pointerId);
  target.addEventListener("pointermove", track);
  target.addEventListener("pointerup", stop, { once: true });
  target.addEventListener("pointercancel", stop, { once: true });
  track(event);
}

function onKey(event) {
  const step = event.shiftKey ? 0.1 : 0.01;
  const to = {
    ArrowLeft: share - step,
    ArrowDown: share - step,
    ArrowRight: share + step,
    ArrowUp: share + step,
    PageDown: share - 0.1,
    PageUp: share + 0.1,
    Home: 0,
    End: 1,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  move(to);
}

/** Connect the border with the stage. */
export function startCompare() {
  split.addEventListener("pointerdown", follow);
  split.addEventListener("keydown", onKey);
  view.addEventListener("pointerdown", follow);
  $("sides").addEventListener("change", draw);
  onMove(draw);
  watch(["content"], () => {
    share = 0.5;
    choose($("sides"), "split");
    draw();
  });
  watch(["result"], draw);
}
