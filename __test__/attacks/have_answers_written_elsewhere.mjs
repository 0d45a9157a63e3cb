import { watching } from "../support/attacks.mjs";

export const options = () => watching([], { sys: { rules: [{ action: "deny", name: "*" }] } });
