// The look: style photos that are chosen and mixed by weight.

import { exampleUrl, post, previewUrl, remove, send, uploadPath } from "./api.js";
import { $, fill, make, title } from "./dom.js";
import { attempt } from "./notices.js";
import { change, hasOwnLook, mix, state, watch } from "./store.js";
import { acceptDrop } from "./drop.js";

let arriving = Promise.resolve(); // settles when every look that was sent so far has arrived or failed

/** Wait until the looks on their way to the server have arrived. */
export const looksArrived = () => arriving;

/** Count some work among the looks on their way. */
function track(work) {
  arriving = Promise.allSettled([arriving, work]);
  return work;
}

const find = (key) => state.looks.find((look) => look.key === key);

/** Change one look. The list is replaced, so that those who watch it see the change. */
function update(key, patch) {
  change({ looks: state.looks.map((look) => (look.key === key ? { ...look, ...patch } : look)) });
}

/** Take a look into the mix, or out of it. An example is sent to this visit when it is used for the first time. */
export const toggleLook = (key) => track(toggle(key));

async function toggle(key) {
  const look = find(key);
  if (!look.chosen && !look.id) {
    const path = `photos/example?${new URLSearchParams({ name: look.example, kind: "styles" })}`;
    const photo = await attempt(() => post(path));
    if (!photo) return;
    update(key, { id: photo.id });
  }
  update(key, { chosen: !look.chosen });
}

/** Add own style photos. The first one replaces the examples in the mix; several files form a mix at once. */
const addLooks = (files) => track(add(files));

async function add(files) {
  const added = [];
  for (const file of files) {
    const photo = await attempt(() => send(uploadPath("photos", file), file));
    if (!photo) continue;
    added.push({
      key: photo.id,
      name: photo.name,
      thumb: previewUrl(`photos/${photo.id}`, 256),
      id: photo.id,
      example: null,
      weight: 1,
      chosen: true,
    });
  }
  if (!added.length) return;
  const others = state.looks.map((look) => (look.example ? { ...look, chosen: false } : look));
  change({ looks: [...added, ...others] });
}

/** Take a visitor's own style photo off the list. The server forgets it. */
async function removeLook(look) {
  change({ looks: state.looks.filter((other) => other.key !== look.key) });
  $("add-look").focus();
  await attempt(() => remove(`photos/${look.id}`));
}

function thumb(look) {
  const item = make(
    "li",
    {},
    make(
      "button",
      {
        type: "button",
        className: "thumb",
        "data-key": look.key,
        "aria-pressed": String(look.chosen),
        onclick: () => toggleLook(look.key),
      },
      make("img", { src: look.thumb, alt: "", loading: "lazy" }),
      make("span", { textContent: look.name }),
    ),
  );
  if (!look.example) {
    item.append(
      make("button", {
        type: "button",
        className: "remove",
        "aria-label": `Remove ${look.name}`,
        title: "Remove",
        textContent: "×",
        onclick: () => removeLook(look),
      }),
    );
  }
  return item;
}

function drawThumbs() {
  const focused = document.activeElement?.dataset?.key;
  $("looks").replaceChildren(...state.looks.map(thumb));
  if (focused)
    $("looks")
      .querySelector(`[data-key="${CSS.escape(focused)}"]`)
      ?.focus();
}

function drawWeights() {
  const looks = mix();
  const box = $("weights");
  box.hidden = looks.length < 2;
  const total = looks.reduce((sum, look) => sum + look.weight, 0);
  const share = (look) => `${Math.round((100 * look.weight) / total)} %`;
  if ([...box.children].map((row) => row.dataset.key).join() === looks.map((look) => look.key).join()) {
    looks.forEach((look, at) => {
      box.children[at].querySelector("output").textContent = share(look);
    });
    return; // the sliders stay, because one of them is being moved
  }
  box.replaceChildren(
    ...looks.map((look, at) => {
      const id = `weight-${at}`;
      const slider = make("input", { type: "range", id, min: 1, max: 100, value: 50 * look.weight });
      slider.addEventListener("input", () => update(look.key, { weight: slider.value / 50 }));
      fill(slider);
      return make(
        "div",
        { "data-key": look.key },
        make(
          "div",
          { className: "title" },
          make("label", { htmlFor: id, textContent: look.name }),
          make("output", { htmlFor: id, textContent: share(look) }),
        ),
        slider,
      );
    }),
  );
}

/** Connect the list of looks. */
export function startLooks() {
  const input = $("look-file");
  $("add-look").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    addLooks([...input.files]);
    input.value = "";
  });
  acceptDrop($("look"), (data) => addLooks([...data.files]));
  watch(["settings"], () => {
    change({
      looks: state.settings.examples.styles.map((name) => ({
        key: `example-${name}`,
        name: title(name),
        thumb: exampleUrl("styles", name, 256),
        id: null,
        example: name,
        weight: 1,
        chosen: false,
      })),
    });
  });
  let drawn = "";
  watch(["looks", "checkpoint"], () => {
    $("own-look").hidden = !hasOwnLook();
    const shape = state.looks.map((look) => `${look.key} ${look.chosen}`).join();
    if (shape !== drawn) drawThumbs();
    drawn = shape;
    drawWeights();
  });
}
