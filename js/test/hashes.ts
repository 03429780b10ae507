/** Hashes of tensors, as golden.json has them (docs/format.md, section 10). */

import { createHash } from "node:crypto";
import type { Params, Tensor } from "../src/tensor";

/** SHA-256 over "dtype shape " as NumPy prints them, and the little-endian bytes. */
export function hashOf({ dtype, shape, data }: Tensor): string {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  return createHash("sha256").update(`${dtype} (${sizes}) `).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)).digest("hex");
}

/** Hashes of tensors by name. */
export function hashesOf(params: Params): Record<string, string> {
  return Object.fromEntries(Array.from(params, ([name, tensor]) => [name, hashOf(tensor)]));
}
