// The stage: the photo before and after, at the size of the window or at 100 % with native scrolling.

import { $, choose, chosen } from "./dom.js";
import { Picture } from "./picture.js";
import { state, watch } from "./store.js";

const MOST = 2; // a small photo is enlarged at most twice to fill the stage
const STEP = 80; // pixels of one arrow key at 100 %

const view = $("view");
const paper = $("paper");
const before = new Picture($("before"));
const after = new Picture($("after"));
const moved = new Set();
let zoomed = false;
let settled = 0;

/** Call `callback` whenever the place of the photo in the stage changes. */
export const onMove = (callback) => moved.add(callback);

/** Return the visible part of the photo as a box relative to the frame, in CSS pixels. */
export function visible() {
  const page = paper.getBoundingClientRect();
  const frame = view.getBoundingClientRect();
  const left = Math.max(page.left, frame.left);
  const top = Math.max(page.top, frame.top);
  const right = Math.min(page.right, frame.left + view.clientWidth);
  const bottom = Math.min(page.bottom, frame.top + view.clientHeight);
  return { x: left - frame.left, y: top - frame.top, w: right - left, h: bottom - top, offset: left - page.left };
}

/** Tell whether the photo is shown at 100 %. */
export const isZoomed = () => zoomed;

function fitScale() {
  const { width, height } = state.content;
  return Math.min(view.clientWidth / width, view.clientHeight / height, MOST);
}

/** One pixel of the photo is one pixel of the screen at 100 %. */
const scale = () => (zoomed ? 1 / devicePixelRatio : fitScale());

function layOut() {
  if (!state.content || !view.clientWidth) return;
  paper.style.width = `${Math.round(state.content.width * scale())}px`;
  paper.style.height = `${Math.round(state.content.height * scale())}px`;
  draw();
  settle();
}

/** Show the previews of the present content, result and strength. */
function draw() {
  const { content, result, strength } = state;
  if (!content) return;
  const longest = Math.max(content.width, content.height) * fitScale() * devicePixelRatio;
  before.show(`photos/${content.id}`, undefined, longest);
  if (result) after.show(`results/${result.id}`, strength, longest);
  else after.clear();
}

/** After a change of the view: tell others at once, and load tiles when the scrolling pauses. */
function settle() {
  for (const callback of moved) callback();
  clearTimeout(settled);
  settled = setTimeout(sharpen, 80);
}

function sharpen() {
  const { content, result } = state;
  if (!content) return;
  if (!zoomed) {
    before.soften();
    after.soften();
    return;
  }
  const box = visible();
  const area = {
    x: Math.max(0, view.scrollLeft) / scale(),
    y: Math.max(0, view.scrollTop) / scale(),
    w: box.w / scale(),
    h: box.h / scale(),
  };
  const side = chosen($("sides"));
  if (side !== "after") before.sharpen(area, content.width, content.height);
  if (result && side !== "before") after.sharpen(area, content.width, content.height);
}

/** Change the zoom. The point (x, y) of the photo, in [0, 1], comes to the middle of the stage. */
export function zoom(full, x = 0.5, y = 0.5) {
  zoomed = full;
  choose($("zooms"), full ? "full" : "fit");
  view.classList.toggle("zoomed", full);
  layOut();
  view.scrollLeft = x * paper.offsetWidth - view.clientWidth / 2;
  view.scrollTop = y * paper.offsetHeight - view.clientHeight / 2;
  settle();
}

/** Zoom by double click, where the mouse is. */
function onDoubleClick(event) {
  const page = paper.getBoundingClientRect();
  zoom(!zoomed, (event.clientX - page.left) / page.width, (event.clientY - page.top) / page.height);
}

/** Pan by dragging with a mouse or a pen; fingers scroll natively. */
function onPointerDown(event) {
  if (!zoomed || event.pointerType === "touch" || event.button !== 0 || event.target === view) return;
  const start = { x: event.clientX + view.scrollLeft, y: event.clientY + view.scrollTop };
  const pan = (move) => {
    view.scrollLeft = start.x - move.clientX;
    view.scrollTop = start.y - move.clientY;
  };
  const stop = () => {
    view.removeEventListener("pointermove", pan);
    view.classList.remove("panning");
  };
  view.setPointerCapture(event.pointerId);
  view.classList.add("panning");
  view.addEventListener("pointermove", pan);
  view.addEventListener("pointerup", stop, { once: true });
  view.addEventListener("pointercancel", stop, { once: true });
}

function onKey(event) {
  if (event.target !== view || event.ctrlKey || event.metaKey || event.altKey) return;
  const pan = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
  if (zoomed && pan) view.scrollBy(...pan);
  else if (event.key === "z" || event.key === "Z") zoom(!zoomed);
  else if (event.key === "+") zoom(true);
  else if (event.key === "-") zoom(false);
  else return;
  event.preventDefault();
}

/** Connect the stage with the state of the page. */
export function startViewer() {
  view.addEventListener("scroll", settle);
  view.addEventListener("dblclick", onDoubleClick);
  view.addEventListener("pointerdown", onPointerDown);
  view.addEventListener("keydown", onKey);
  $("zooms").addEventListener("change", () => zoom(chosen($("zooms")) === "full"));
  $("sides").addEventListener("change", settle);
  new ResizeObserver(layOut).observe(view);
  watch(["content"], () => {
    before.clear();
    after.clear();
    $("welcome").hidden = Boolean(state.content);
    $("desk").hidden = !state.content;
    if (state.content) zoom(false);
  });
  watch(["result", "strength"], () => {
    draw();
    settle();
  });
}
