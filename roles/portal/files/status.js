// Shows the states from status.json, updated every five seconds while the page is visible. Reading it starts no service.
"use strict";

const WORDS = {
  stopped: "asleep",
  starting: "starting",
  ready: "awake",
  draining: "awake",
  stopping: "falling asleep",
  failed: "failed",
};

function show(states) {
  for (const badge of document.querySelectorAll("[data-host]")) {
    const word = WORDS[states[badge.dataset.host]] ?? "unknown";
    badge.textContent = word;
    badge.dataset.state = word;
  }
}

async function update() {
  if (document.hidden) return;
  try {
    const answer = await fetch(new URL("/status.json", location.origin), { cache: "no-store" });
    show(answer.ok ? await answer.json() : {});
  } catch {
    show({});
  }
}

if (document.querySelector("[data-host]")) {
  update();
  setInterval(update, 5000);
  document.addEventListener("visibilitychange", update);
}
