// The host does the same.
export * from "./change_what_is_kept.mjs";
