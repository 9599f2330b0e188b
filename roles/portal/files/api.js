// One Swagger UI for all services: it is recreated for the selected service, and keeps the credentials.
"use strict";

const choice = document.getElementById("api");
let ui;

function open() {
  const signedIn = ui?.authSelectors.authorized().toJS();
  const chosen = choice.selectedOptions[0];
  history.replaceState(null, "", `#${chosen.id}`);
  ui = SwaggerUIBundle({
    // Absolute, because fetch refuses an address relative to one with a user and password in it.
    url: new URL(choice.value, location.origin).href,
    dom_id: "#swagger-ui",
    validatorUrl: null,
    tryItOutEnabled: true,
    displayRequestDuration: true,
    onComplete: () => signedIn && ui.authActions.authorize(signedIn),
  });
}

const wanted = document.getElementById(location.hash.slice(1));
if (wanted?.parentElement === choice) choice.value = wanted.value;
choice.addEventListener("change", open);
open();
