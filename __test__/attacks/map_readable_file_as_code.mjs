export { before } from "./make_file_mapping_executable.mjs";
