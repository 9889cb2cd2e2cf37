// node run.mjs MODULE BLOB SCAN ...: agreement, then each captured scan. Status 0 only if all is as it should be.
import { readFileSync } from "node:fs";

const [module, ...paths] = process.argv.slice(2);
const print = (text, len) => process.stdout.write(new Uint8Array(core.memory.buffer, text, len));
const { instance } = await WebAssembly.instantiate(readFileSync(module), { env: { print } });
const core = instance.exports;

function place(path) {
  const bytes = readFileSync(path);
  const at = core.allocate(bytes.length);
  new Uint8Array(core.memory.buffer, at, bytes.length).set(bytes);
  return [at, bytes.length];
}

let ok = core.agreement();
for (let i = 0; i + 1 < paths.length; i += 2) {
  ok &= core.scan(...place(paths[i]), ...place(paths[i + 1]));
}
process.exitCode = ok ? 0 : 1;
