// The host does the same.
export * from "./read_hidden_that_the_host_replaces.mjs";
