// One photo in the editor with its mask on top: painted with mouse, pen, finger or keys, saved and replaced as PNG.

import { getFile, previewUrl, put } from "./api.js";
import { make, save } from "./dom.js";
import { acceptDrop } from "./drop.js";
import { LabelMap } from "./label_map.js";

const PREVIEW = 1024;

export class Easel {
  /** `brush` is shared by all easels: {color, radius, history, changed(), pick(event), fail(error)}. */
  constructor(photo, title, brush) {
    this.photo = photo;
    this.brush = brush;
    this.cursor = { x: 0, y: 0 };
    this.canvas = make("canvas", { tabIndex: 0 });
    this.canvas.setAttribute("role", "application"); // a screen reader leaves the arrow keys to the brush
    this.canvas.setAttribute("aria-label", `Regions of ${title}`);
    this.canvas.setAttribute("aria-describedby", "editor-keys");
    this.ring = make("span", { className: "ring", hidden: true });
    this.map = new LabelMap(this.canvas);
    this.input = make("input", { type: "file", accept: "image/png", hidden: true });
    this.input.setAttribute("aria-label", `Mask of ${title}`);
    this.input.addEventListener("change", () => {
      if (this.input.files[0]) this.replace(this.input.files[0]);
      this.input.value = "";
    });
    this.picture = make(
      "div",
      { className: "picture" },
      make("img", { src: previewUrl(`photos/${photo.id}`, PREVIEW), alt: "", draggable: false }),
      this.canvas,
      this.ring,
    );
    const button = (text, label, action) =>
      make("button", {
        type: "button",
        className: "small",
        textContent: text,
        "aria-label": `${label} of ${title}`,
        onclick: action,
      });
    this.element = make(
      "section",
      { className: "easel" },
      make(
        "div",
        { className: "title" },
        make("h3", { textContent: title }),
        make("span", { className: "spring" }),
        button("Load PNG", "Load the mask", () => this.input.click()),
        button("Save PNG", "Save the mask", () => this.download()),
      ),
      make("div", { className: "room" }, this.picture),
      this.input,
    );
    this.element.setAttribute("aria-label", title);
    acceptDrop(this.element, (data) => this.replace(data.files[0]));
    this.#listen();
  }

  get path() {
    return `photos/${this.photo.id}/mask`;
  }

  /** Show the mask that the server keeps for the photo. */
  async open() {
    await this.map.read((await getFile(this.path)).blob);
    this.picture.style.setProperty("--ratio", this.canvas.width / this.canvas.height);
    this.brush.history.forget(this.map);
    this.cursor = { x: this.canvas.width / 2, y: this.canvas.height / 2 };
    this.brush.changed();
  }

  /** Take a label PNG of the visitor. The server checks it, and gives it back at the size of masks. */
  async replace(file) {
    try {
      await put(this.path, file);
      await this.open();
      this.map.changed = true;
      this.brush.changed();
    } catch (error) {
      this.brush.fail(error);
    }
  }

  async download() {
    save(await this.map.write(), `${this.photo.name.replace(/\.[^.]*$/, "")}_mask.png`);
  }

  #listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.#paint(event));
    canvas.addEventListener("pointermove", (event) => this.#show(this.#place(event)));
    canvas.addEventListener("pointerleave", () => {
      this.ring.hidden = document.activeElement !== canvas;
    });
    canvas.addEventListener("focus", () => this.#show(this.cursor));
    canvas.addEventListener("blur", () => {
      this.ring.hidden = true;
    });
    canvas.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Position of the pointer in pixels of the mask. */
  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * this.canvas.width,
      y: ((event.clientY - box.top) / box.height) * this.canvas.height,
    };
  }

  /** The brush has its size on the screen; a mask pixel may be larger or smaller than a screen pixel. */
  get #radius() {
    return Math.max(0.5, (this.brush.radius * this.canvas.width) / this.canvas.clientWidth);
  }

  #show(cursor) {
    this.cursor = cursor;
    this.ring.hidden = false;
    const scale = this.canvas.clientWidth / this.canvas.width;
    const { style } = this.ring;
    style.left = `${cursor.x * scale}px`;
    style.top = `${cursor.y * scale}px`;
    style.width = style.height = `${2 * this.brush.radius}px`;
    style.backgroundColor = this.brush.color ? `rgb(${this.brush.color.join(" ")} / 50%)` : "transparent";
  }

  #finish() {
    const record = this.map.end();
    if (record) this.brush.history.add(record);
    this.brush.changed();
  }

  #paint(event) {
    if (event.button !== 0) return;
    let last = this.#place(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.map.begin(this.brush.color);
    this.map.line(last, last, this.#radius);
    const draw = (move) => {
      for (const point of move.getCoalescedEvents()) {
        const next = this.#place(point);
        this.map.line(last, next, this.#radius);
        last = next;
      }
    };
    const stop = () => {
      this.canvas.removeEventListener("pointermove", draw);
      this.canvas.removeEventListener("pointerup", stop);
      this.canvas.removeEventListener("pointercancel", stop);
      this.#finish();
    };
    this.canvas.addEventListener("pointermove", draw);
    this.canvas.addEventListener("pointerup", stop);
    this.canvas.addEventListener("pointercancel", stop);
  }

  #onKey(event) {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!arrow && event.key !== " ") {
      this.brush.pick(event);
      return;
    }
    event.preventDefault();
    const step = Math.max(1, this.#radius / 2);
    const from = this.cursor;
    const to = arrow
      ? {
          x: Math.min(this.canvas.width - 1, Math.max(0, from.x + step * arrow[0])),
          y: Math.min(this.canvas.height - 1, Math.max(0, from.y + step * arrow[1])),
        }
      : from;
    if (!arrow || event.shiftKey) {
      this.map.begin(this.brush.color);
      this.map.line(from, to, this.#radius);
      this.#finish();
    }
    this.#show(to);
  }
}
