// The keyboard on a transcript. Fields and menus keep their own keys.

/** Seconds of a jump. */
const JUMP = 5;

/**
 * @param {{ player: import("./player.js").Player, view: import("./text_view.js").TextView, find: import("./find_bar.js").FindBar,
 *   undo: () => void, redo: () => void, play: (number: number) => void }} parts
 * @param {AbortSignal} until
 */
export function transcriptKeys({ player, view, find, undo, redo, play }, until) {
  /** @type {Record<string, () => void>} */
  const keys = {
    " ": () => player.toggle(),
    ArrowLeft: () => player.seek(player.now - JUMP),
    ArrowRight: () => player.seek(player.now + JUMP),
    ArrowUp: () => view.move(-1),
    ArrowDown: () => view.move(1),
    Enter: () => play(view.selected),
    e: () => view.edit(view.selected),
    E: () => view.edit(view.selected),
    "<": () => player.changeSpeed(-1),
    ">": () => player.changeSpeed(1),
    "/": () => find.focus(),
  };

  document.addEventListener(
    "keydown",
    (event) => {
      const target = /** @type {Element} */ (event.target);
      const isSlider = target.matches("[type=range]") && event.key === " ";
      if (event.defaultPrevented || (target.closest("input, textarea, select, details") && !isSlider)) return;
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
        event.preventDefault();
        return event.shiftKey ? redo() : undo();
      }
      // Buttons keep the keys that press them; Space on a time plays and pauses, as everywhere.
      const presses = event.key === "Enter" || (event.key === " " && !target.matches(".time"));
      if (event.ctrlKey || event.metaKey || event.altKey || (presses && target.closest("button, a"))) return;
      const action = keys[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    },
    { signal: until },
  );
}
