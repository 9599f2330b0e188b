// One Swagger UI for all services: it is made anew for the service that is chosen, and keeps who is signed in.
"use strict";

const choice = document.getElementById("api");
let ui;

function open() {
  const signedIn = ui?.authSelectors.authorized().toJS();
  const chosen = choice.selectedOptions[0];
  history.replaceState(null, "", `#${chosen.id}`);
  ui = SwaggerUIBundle({
    url: choice.value,
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
