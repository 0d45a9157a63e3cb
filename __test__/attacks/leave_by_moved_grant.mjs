export { before, during } from "./leave_by_moved_directory.mjs";
