/** The verifier page: the same verifier as the command line's, in one file that opens without a network. */
import { VERSION } from "@kedge/verify/version";
import { render } from "preact";
import { App } from "./app.tsx";
import "./style.css";

const root = document.getElementById("page");
const licences = document.getElementById("licences")?.textContent ?? "";
if (root !== null) {
  render(<App languages={navigator.languages} version={VERSION} licences={licences} />, root);
}

// A court reads on paper: what is folded away on the screen is printed whole.
let folded: HTMLDetailsElement[] = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll<HTMLDetailsElement>("main details:not([open])")];
  for (const details of folded) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of folded) details.open = false;
});
