// The options of a run: strength, regions, refine steps and the checkpoint.

import { $, choose, chosen, fill, make } from "./dom.js";
import { change, mix, state, watch } from "./store.js";

function startStrength() {
  const slider = $("strength");
  fill(slider);
  slider.addEventListener("input", () => {
    $("strength-value").textContent = `${slider.value} %`;
    change({ strength: slider.value / 100 });
  });
}

function startRefine() {
  const slider = $("refine");
  fill(slider);
  slider.addEventListener("input", () => {
    $("refine-value").textContent = slider.value;
  });
  slider.addEventListener("change", () => change({ refine: Number(slider.value) }));
  watch(["settings"], () => {
    slider.max = state.settings.refine_max;
    fill(slider);
  });
}

function startCheckpoint() {
  const menu = $("checkpoint");
  menu.addEventListener("change", () => change({ checkpoint: menu.value }));
  watch(["settings"], () => {
    menu.replaceChildren(
      ...state.settings.checkpoints.map((name) => make("option", { value: name, textContent: name })),
    );
    change({ checkpoint: menu.value });
  });
}

function startMasks() {
  const choice = $("masks");
  choice.addEventListener("change", () => change({ masks: chosen(choice) }));
  watch(["masks"], () => {
    choose(choice, state.masks);
    const own = choice.querySelector("[value=own]");
    if (state.masks === "own") own.disabled = false;
  });
  // Corrected regions belong to one photo and its looks. Others would not fit them.
  let pair = "";
  watch(["content", "looks", "checkpoint"], () => {
    const now = [state.content?.id, ...mix().map((look) => look.id)].join();
    $("edit-masks").disabled = !state.content || !mix().length;
    $("edit-hint").hidden = !$("edit-masks").disabled;
    if (now === pair) return;
    pair = now;
    choice.querySelector("[value=own]").disabled = true;
    if (state.masks === "own") change({ masks: "auto" });
  });
}

/** Connect the options with the state of the page. */
export function startOptions() {
  startStrength();
  startRefine();
  startCheckpoint();
  startMasks();
}
