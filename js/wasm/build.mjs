/** Compiles kernels.ts and writes it as a module of the decoder, or tells whether that module is up to date (--check). */

import { readFileSync, writeFileSync } from "node:fs";
import asc from "assemblyscript/asc";

const SOURCE = new URL("kernels.ts", import.meta.url).pathname, TARGET = new URL("../src/wasm/kernels.ts", import.meta.url);
const FLAGS = ["--outFile", "kernels.wasm", "-O3", "--enable", "simd", "--runtime", "stub", "--noAssert"];

let binary;
const { error, stderr } = await asc.main([SOURCE, ...FLAGS], {
  writeFile: (name, contents) => name.endsWith(".wasm") && (binary = contents),
});
if (error) throw new Error(`${error.message}\n${stderr.toString()}`);
const lines = Buffer.from(binary).toString("base64").match(/.{1,110}/g);
const text = `/** The kernels of wasm/kernels.ts as WebAssembly, base64; written by \`npm run wasm\`. */

export const KERNELS =
${lines.map((line) => `  "${line}"`).join(" +\n")};
`;
if (!process.argv.includes("--check")) writeFileSync(TARGET, text);
else if (readFileSync(TARGET, "utf-8") !== text) throw new Error("src/wasm/kernels.ts is not that of wasm/kernels.ts: npm run wasm");
