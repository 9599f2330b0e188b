// The page: its frame, and the screen that the address names.

import { fill, h } from "./dom.js";
import { messageOf } from "./error_text.js";
import { language, switchLanguage, t } from "./language.js";
import { recover } from "./microphone.js";
import { isRecording } from "./recorder_view.js";
import { isAtRisk } from "./recordings.js";
import { startScreen } from "./start_screen.js";
import { open } from "./storage.js";
import { transcriptScreen } from "./transcript_screen.js";
import { resumeAll } from "./work.js";

const root = h("main", { id: "content", tabindex: -1 });
let screen = new AbortController();

function frame() {
  document.documentElement.lang = language;
  const other = language === "en" ? "fr" : "en";
  fill(
    document.body,
    h(
      "a",
      {
        class: "skip",
        href: "#content",
        onclick: (/** @type {Event} */ event) => (event.preventDefault(), root.focus()),
      },
      t("skip"),
    ),
    h(
      "header",
      { class: "bar" },
      h("h1", {}, h("a", { href: "#/" }, t("title"))),
      h(
        "nav",
        {},
        h("a", { href: "/services" }, t("services")),
        h("a", { href: "/api" }, t("api")),
        h("button", { type: "button", class: "link", lang: other, onclick: switchLanguage }, t("otherLanguage")),
      ),
    ),
    root,
  );
}

async function show() {
  screen.abort();
  screen = new AbortController();
  const id = /^#\/transcript\/([\w-]+)$/.exec(location.hash)?.[1];
  if (id) await transcriptScreen(root, id, screen.signal);
  else startScreen(root, screen.signal);
}

/** @param {unknown} error */
function complain(error) {
  const note = h("div", { class: "failure", role: "alert" }, t("failed", { message: messageOf(error) }));
  document.querySelector(".failure")?.remove();
  document.body.append(note);
}

async function begin() {
  frame();
  try {
    await open();
  } catch {
    return fill(root, h("p", { role: "alert" }, t("unavailable")));
  }
  addEventListener("hashchange", async () => {
    await show();
    root.focus();
    scrollTo(0, 0);
  });
  addEventListener("beforeunload", (event) => (isRecording() || isAtRisk()) && event.preventDefault());
  await show();
  // What was left by tabs that were closed.
  await recover();
  await resumeAll();
}

addEventListener("error", ({ error }) => complain(error));
addEventListener("unhandledrejection", ({ reason }) => complain(reason));
begin();
