/** The officer's console: what arrived in the address is taken out of it first, then the page is shown. */
import "./zod.ts";
import "./style.css";
import { render } from "preact";
import { takeArrival } from "./address.ts";
import { App } from "./app.tsx";
import { forgetBegun, handOn } from "./provider.ts";
import { openSession } from "./session.ts";

const arrival = takeArrival();
// Whoever came back without an answer, or by the browser's own way back, has given it up.
if (arrival?.kind !== "provider") forgetBegun();
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) forgetBegun();
});
const root = document.getElementById("console");
if (root !== null) {
  root.textContent = "";
  const isHandedOn = arrival !== undefined && handOn(arrival);
  render(
    <App
      service={openSession(location.origin)}
      isHandedOn={isHandedOn}
      {...(!isHandedOn && arrival && { arrival })}
    />,
    root,
  );
}
