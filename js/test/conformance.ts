/** The golden files of tests/conformance (docs/format.md, section 10). */

import { readdirSync, readFileSync } from "node:fs";

const ROOT = new URL("../../tests/conformance/", import.meta.url);

/** The bytes of a golden file, such as "direct.sinr". */
export function bytesOf(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(name, ROOT)));
}

/** The content of a golden JSON file, such as "golden.json". */
export function jsonOf<T>(name: string): Record<string, T> {
  return JSON.parse(readFileSync(new URL(name, ROOT), "utf-8")) as Record<string, T>;
}

/** Names of the `.sinr` files of a folder, with the folder and without the extension. */
export function namesIn(folder = ""): string[] {
  const files = readdirSync(new URL(folder, ROOT)).filter((name) => name.endsWith(".sinr"));
  return files.map((name) => folder + name.slice(0, -".sinr".length)).sort();
}

/** The bytes of hexadecimal digits, with or without spaces. */
export function hex(digits: string): Uint8Array {
  return Uint8Array.from(digits.replaceAll(" ", "").match(/../g) ?? [], (byte) => parseInt(byte, 16));
}
