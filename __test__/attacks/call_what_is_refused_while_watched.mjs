import { watching } from "../support/attacks.mjs";

export const options = () => watching(["memfd_create", "ptrace", "add_key", "unshare", "clone"]);
