import { watching } from "../support/attacks.mjs";

export const options = () => watching(["execve"]);
