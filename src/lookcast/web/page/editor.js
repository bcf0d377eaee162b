// The editor of regions: the masks of the photo and of its looks, side by side, in nine colours.

import { post, put } from "./api.js";
import { $, fill, make } from "./dom.js";
import { Easel } from "./easel.js";
import { History } from "./label_map.js";
import { looksArrived } from "./looks.js";
import { attempt } from "./notices.js";
import { refresh } from "./result.js";
import { change, mix, state, watch } from "./store.js";

let easels = [];
let kept = []; // the masks on the server when the editor was opened, which Cancel brings back

const brush = {
  color: null, // [r, g, b]; null is the eraser
  radius: 20,
  history: new History(),

  /** Show what can be undone. */
  changed() {
    $("undo").disabled = !brush.history.past.length;
    $("redo").disabled = !brush.history.future.length;
    $("editor-error").hidden = true;
  },

  /** Keys on a picture that are not for the brush's position. */
  pick(event) {
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key === "z") step(event.shiftKey ? "redo" : "undo");
      else if (key === "y") step("redo");
      else return;
    } else if (key === "e") {
      $("swatches").querySelector("[value=eraser]").click();
    } else if (/^[1-9]$/.test(key)) {
      $("swatches").querySelectorAll("input")[key - 1].click();
    } else {
      return;
    }
    event.preventDefault();
  },

  fail(error) {
    $("editor-error").textContent = error.message;
    $("editor-error").hidden = false;
  },
};

function step(direction) {
  brush.history[direction]();
  brush.changed();
}

/** Find masks of the photos, and show them. */
async function find() {
  await post("masks/auto", { content: state.content.id, styles: mix().map((look) => look.id) });
  await Promise.all(easels.map((easel) => easel.open()));
}

async function open() {
  await looksArrived(); // a look that was chosen a moment ago has regions too
  brush.history = new History();
  easels = [state.content, ...mix()].map((photo) => new Easel(photo, photo.name, brush));
  if (state.masks === "own") await Promise.all(easels.map((easel) => easel.open()));
  else await find();
  kept = await Promise.all(easels.map((easel) => easel.map.write()));
  $("canvases").replaceChildren(...easels.map((easel) => easel.element));
  brush.changed();
  $("editor").showModal();
  $("editor-title").focus();
}

const store = (blobs) => Promise.all(easels.map((easel, at) => put(easel.path, blobs[at])));

/** Close the editor. The server keeps the masks of the editor, or those of before. */
async function close(apply) {
  try {
    const touched = easels.some((easel) => easel.map.changed);
    if (touched) await store(apply ? await Promise.all(easels.map((easel) => easel.map.write())) : kept);
    $("editor").close();
    if (!apply) return;
    change({ masks: "own" });
    refresh();
  } catch (error) {
    brush.fail(error);
  }
}

function drawSwatches() {
  const choice = (value, name, inside) =>
    make("label", { title: name }, make("input", { type: "radio", name: "swatch", value, "aria-label": name }), inside);
  const swatches = state.settings.mask_colors.map(({ name, rgb }, at) => {
    const dot = make("span", { className: "swatch", textContent: at + 1 });
    dot.style.backgroundColor = `rgb(${rgb.join(" ")})`;
    dot.style.color = rgb[0] * 0.3 + rgb[1] * 0.59 + rgb[2] * 0.11 > 110 ? "#000" : "#fff";
    return choice(String(at), name, dot);
  });
  $("swatches").replaceChildren(
    $("swatches").querySelector("legend"),
    ...swatches,
    choice("eraser", "eraser", make("span", { className: "swatch eraser", textContent: "Eraser" })),
  );
  $("swatches").querySelector("input").checked = true;
  brush.color = state.settings.mask_colors[0].rgb;
}

/** Connect the editor. */
export function startEditor() {
  $("edit-masks").addEventListener("click", async () => {
    $("edit-masks").setAttribute("aria-busy", "true");
    await attempt(open);
    $("edit-masks").removeAttribute("aria-busy");
  });
  $("editor-apply").addEventListener("click", () => close(true));
  $("editor-cancel").addEventListener("click", () => close(false));
  $("editor").addEventListener("cancel", (event) => {
    event.preventDefault(); // Escape is Cancel, which has to bring back the masks first
    close(false);
  });
  $("undo").addEventListener("click", () => step("undo"));
  $("redo").addEventListener("click", () => step("redo"));
  $("find-again").addEventListener("click", () =>
    find().then(() => {
      for (const easel of easels) easel.map.changed = true;
    }, brush.fail),
  );
  $("swatches").addEventListener("change", (event) => {
    const { value } = event.target;
    brush.color = value === "eraser" ? null : state.settings.mask_colors[value].rgb;
  });
  $("brush-size").addEventListener("input", () => {
    brush.radius = $("brush-size").value / 2;
    $("brush-size-value").textContent = $("brush-size").value;
  });
  $("overlay").addEventListener("input", () => {
    $("canvases").style.setProperty("--overlay", `${$("overlay").value}%`);
  });
  for (const id of ["brush-size", "overlay"]) fill($(id));
  watch(["settings"], drawSwatches);
}
