import { watching } from "../support/attacks.mjs";

// Allowed and denied both, so that the host has something to mistake: the file by its rule, the secret by none.
export const options = () => watching(["open", "openat"]);
