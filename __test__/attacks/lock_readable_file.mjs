export { after, before, during } from "./lease_readable_file.mjs";
