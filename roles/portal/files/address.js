// Opens the page again without the user and password that were in its address: fetch() refuses addresses relative to such a one, and a
// screenshot would show them. The browser keeps both for the site.
"use strict";

{
  const address = new URL(document.URL);
  if (address.username || address.password) {
    location.replace(address.origin + address.pathname + address.search + address.hash);
  }
}
