// The state of the page in one place. Modules change it with `change` and follow it with `watch`.

export const state = {
  settings: null, // the answer of GET settings
  content: null, // {id, name, width, height, bit_depth, has_profile, has_exif}
  looks: [], // [{key, name, thumb, id, example, weight, chosen}]; id is null until the server has the photo
  masks: "off", // "off", "auto" or "own"
  strength: 1,
  refine: 0,
  checkpoint: null,
  result: null, // {id, width, height, seconds, command, python}
  busy: false,
};

const watchers = [];

/** Call `callback` after every change of one of the keys. */
export function watch(keys, callback) {
  watchers.push({ keys, callback });
}

/** Change some keys of the state, then tell those who watch them. */
export function change(patch) {
  const changed = Object.keys(patch).filter((key) => state[key] !== patch[key]);
  Object.assign(state, patch);
  for (const { keys, callback } of watchers) {
    if (keys.some((key) => changed.includes(key))) callback();
  }
}

/** Whether the checkpoint has a look of its own, so that it takes no style photo. */
export const hasOwnLook = () => Boolean(state.settings?.single_looks?.includes(state.checkpoint));

/** The looks that are part of the mix. */
export const mix = () => (hasOwnLook() ? [] : state.looks.filter((look) => look.chosen));

/** The value of `use_masks` in requests. */
export const maskChoice = () => ({ off: false, auto: "auto", own: true })[state.masks];
