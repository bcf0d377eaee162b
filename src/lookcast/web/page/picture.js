// One picture of the stage: a preview over the whole area, and full-size tiles on top of it.

import { cropUrl, explain, previewUrl } from "./api.js";
import { make } from "./dom.js";
import { report } from "./notices.js";

const TILE = 1024; // the server cuts at most 2048 x 2048 pixels
const SIDES = [512, 1024, 1536, 2048]; // few different previews, so that the browser can reuse them

/** Load an image. The promise resolves when the image can be drawn without delay. */
async function load(url) {
  const image = make("img", { alt: "", draggable: false, src: url });
  try {
    await image.decode();
  } catch {
    await explain(url);
  }
  return image;
}

export class Picture {
  constructor(layer) {
    this.layer = layer;
    this.clear();
  }

  /** Remove the picture. */
  clear() {
    this.of = null;
    this.wanted = null;
    this.shown = null;
    this.tiles = new Map();
    this.layer.replaceChildren();
  }

  /**
   * Show a photo ("photos/ID") or a result ("results/ID"). The old picture stays until the new one is there. While one
   * preview loads, only the last of the later requests is kept, so that a slider never piles up requests.
   */
  show(of, strength, longest) {
    const side = SIDES.find((known) => known >= longest) ?? SIDES.at(-1);
    this.of = of;
    this.strength = strength;
    this.wanted = previewUrl(of, side, strength);
    return (this.loading ??= this.#follow().finally(() => {
      this.loading = null;
    }));
  }

  async #follow() {
    while (this.wanted && this.wanted !== this.shown) {
      const url = this.wanted;
      try {
        const image = await load(url);
        if (!this.wanted) return;
        image.className = "whole";
        this.layer.querySelector(".whole")?.remove();
        this.layer.prepend(image);
        this.shown = url;
      } catch (error) {
        report(error);
        if (this.wanted === url) return;
      }
    }
  }

  /** Show the full-size tiles of a visible box {x, y, w, h} of a photo of `width` x `height` pixels. */
  sharpen(box, width, height) {
    const wanted = new Map();
    const first = (start) => Math.max(0, Math.floor(start / TILE) * TILE);
    for (let y = first(box.y); y < Math.min(height, box.y + box.h); y += TILE) {
      for (let x = first(box.x); x < Math.min(width, box.x + box.w); x += TILE) {
        const area = { x, y, w: Math.min(TILE, width - x), h: Math.min(TILE, height - y) };
        wanted.set(`${x},${y}`, { area, url: cropUrl(this.of, area, this.strength) });
      }
    }
    for (const [key, tile] of this.tiles) {
      if (!wanted.has(key)) this.#drop(key, tile);
    }
    for (const [key, { area, url }] of wanted) this.#place(key, area, url);
  }

  /** Remove the full-size tiles. */
  soften() {
    for (const [key, tile] of this.tiles) this.#drop(key, tile);
  }

  #drop(key, tile) {
    tile.image?.remove();
    this.tiles.delete(key);
  }

  /**
   * Load one tile, and place it so that its pixels are pixels of the screen. A tile keeps its old image, for example of
   * another strength, until the new one is there.
   */
  async #place(key, area, url) {
    const tile = this.tiles.get(key) ?? { url: null, image: null, loading: false };
    tile.url = url;
    this.tiles.set(key, tile);
    if (tile.loading) return;
    tile.loading = true;
    try {
      while (this.tiles.get(key) === tile && tile.image?.dataset.url !== tile.url) {
        const wanted = tile.url;
        const image = await load(wanted);
        if (this.tiles.get(key) !== tile) return;
        image.className = "tile";
        image.dataset.url = wanted;
        const places = { left: area.x, top: area.y, width: area.w, height: area.h };
        for (const [side, pixels] of Object.entries(places)) image.style[side] = `${pixels / devicePixelRatio}px`;
        this.layer.append(image);
        tile.image?.remove();
        tile.image = image;
      }
    } catch (error) {
      report(error);
    } finally {
      tile.loading = false;
    }
  }
}
