export { after, before } from "./write_to_readable_file.mjs";
