// The result: one run of the network whenever the photo, the look or its options change.

import { post } from "./api.js";
import { $ } from "./dom.js";
import { clear, report } from "./notices.js";
import { change, hasOwnLook, maskChoice, mix, state, watch } from "./store.js";

const PAUSE = 150; // milliseconds without a change before the network runs, for sliders

let timer = 0;
let running = false;
let again = false;
let last = "";

/** The body of the request, or null while there is no photo or no look. */
function inputs() {
  const looks = mix();
  if (!state.content || (!looks.length && !hasOwnLook())) return null;
  return {
    content: state.content.id,
    styles: looks.map(({ id, weight }) => ({ id, weight })),
    use_masks: maskChoice(),
    refine: state.refine,
    checkpoint: state.checkpoint,
  };
}

async function run() {
  if (running) {
    again = true;
    return;
  }
  running = true;
  do {
    again = false;
    const body = inputs();
    if (!body) {
      last = "";
      change({ result: null });
      continue;
    }
    if (JSON.stringify(body) === last) continue;
    last = JSON.stringify(body);
    change({ busy: true });
    try {
      const result = await post("results", body);
      if (inputs()?.content !== body.content) continue; // the visitor went on to another photo, or took the look away
      clear();
      change({ result });
    } catch (error) {
      if (inputs()?.content !== body.content) continue;
      last = "";
      report(error);
      change({ result: null });
    }
    change({ busy: false });
  } while (again);
  running = false;
  change({ busy: false });
}

/** Run the network again although the request is the same, because masks have changed. */
export function refresh() {
  last = "";
  run();
}

function drawStatus() {
  const { busy, result, content } = state;
  $("busy").hidden = !busy;
  $("photo").setAttribute("aria-busy", String(busy));
  if (busy) $("status").textContent = "Working …";
  else if (result) $("status").textContent = `${result.seconds.toFixed(1)} s`;
  else $("status").textContent = content ? "Choose a look" : "";
}

/** Connect the runs with the state of the page. */
export function startResult() {
  watch(["content"], run);
  watch(["looks", "masks", "refine", "checkpoint"], () => {
    clearTimeout(timer);
    timer = setTimeout(run, PAUSE);
  });
  watch(["busy", "result", "content"], drawStatus);
}
