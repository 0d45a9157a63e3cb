// Set in the process that the addon is loaded in; programs load their secrets like this from a file.
export function before(arena) {
  process.env.ATTACK_TOKEN = arena.secret;
}

export function after() {
  delete process.env.ATTACK_TOKEN;
}
