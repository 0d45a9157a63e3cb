export { before } from "./read_kernel_log.mjs";
