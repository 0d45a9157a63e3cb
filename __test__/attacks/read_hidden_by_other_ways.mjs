export { layOutHidden as before } from "../support/hidden.mjs";
