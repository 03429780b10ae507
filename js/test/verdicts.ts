/**
 * What this decoder says of many files: `node verdicts.mjs CASES`, a file of cases as tests/fuzz/verdicts.py writes them. A
 * line for each: "ok", or the class of the error.
 */

import { readFileSync } from "node:fs";
import { loadBrotli } from "../src/coding/inflate";
import { open, SignalFile } from "../src/decoding";
import { SinrError } from "../src/errors";

await loadBrotli();
const data = readFileSync(process.argv[2]), lines: string[] = [];
for (let at = 0; at < data.length; ) {
  const [length, baseLength] = [data.readUInt32LE(at), data.readUInt32LE(at + 4)], start = at + 8, end = start + length;
  lines.push(verdict(new Uint8Array(data.subarray(start, end)), baseLength ? new Uint8Array(data.subarray(end, end + baseLength)) : undefined));
  at = end + baseLength;
}
console.log(lines.join("\n"));

/** All weights of a file are decoded, and nothing is rendered. */
function verdict(bytes: Uint8Array, base: Uint8Array | undefined): string {
  try {
    const file = open(bytes, { base });
    if (file instanceof SignalFile) for (let part = 0; part < file.spec.parts; part++) file.weights(part);
    else file.weights();
    return "ok";
  } catch (error) {
    return error instanceof SinrError ? error.name : `not an error of the decoder: ${String(error)}`;
  }
}
