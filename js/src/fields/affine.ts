/** Products of many rows with a matrix. */

import { type Vectors, vectors } from "../wasm/vectors";

/** An affine layer of real numbers: weights (outputs, inputs) and biases. */
export interface Layer {
  readonly inputs: number;
  readonly outputs: number;
  readonly weight: Float64Array;
  readonly bias: Float64Array;
}

/** Sums (count, outputs) of a layer from x (count, inputs): by WebAssembly where it has vectors. */
export function affine(x: Float64Array, count: number, layer: Layer, sums: Float64Array): void {
  const kernels = vectors();
  if (kernels === undefined) plainAffine(x, count, layer, sums);
  else byVectors(kernels, x, count, layer, sums);
}

/** The same in plain JavaScript: eight sums at a time, two rows by four outputs. */
export function plainAffine(x: Float64Array, count: number, { inputs, outputs, weight, bias }: Layer, sums: Float64Array): void {
  const rows = count & ~1, columns = outputs & ~3;
  for (let n = 0; n < rows; n += 2) {
    const a = n * inputs, b = a + inputs;
    for (let o = 0; o < columns; o += 4) {
      const w0 = o * inputs, w1 = w0 + inputs, w2 = w1 + inputs, w3 = w2 + inputs;
      let a0 = bias[o], a1 = bias[o + 1], a2 = bias[o + 2], a3 = bias[o + 3], b0 = a0, b1 = a1, b2 = a2, b3 = a3;
      for (let j = 0; j < inputs; j++) {
        const xa = x[a + j], xb = x[b + j], p = weight[w0 + j], q = weight[w1 + j], r = weight[w2 + j], s = weight[w3 + j];
        a0 += xa * p; a1 += xa * q; a2 += xa * r; a3 += xa * s;
        b0 += xb * p; b1 += xb * q; b2 += xb * r; b3 += xb * s;
      }
      const at = n * outputs + o, below = at + outputs;
      sums[at] = a0; sums[at + 1] = a1; sums[at + 2] = a2; sums[at + 3] = a3;
      sums[below] = b0; sums[below + 1] = b1; sums[below + 2] = b2; sums[below + 3] = b3;
    }
  }
  for (let n = 0; n < count; n++) {
    for (let o = n < rows ? columns : 0; o < outputs; o++) {
      let sum = bias[o];
      for (let j = 0, a = n * inputs, w = o * inputs; j < inputs; j++) sum += x[a + j] * weight[w + j];
      sums[n * outputs + o] = sum;
    }
  }
}

const COLUMNS = 8; // outputs that the kernel has at once

/** Biases and weights of layers as the kernel takes them: (1 + inputs, outputs padded). */
const packed = new WeakMap<Layer, Float64Array>();

function byVectors(vectors: Vectors, x: Float64Array, count: number, layer: Layer, sums: Float64Array): void {
  const { inputs, outputs } = layer, weights = packedOf(layer), padded = weights.length / (inputs + 1);
  vectors.clear();
  const at = vectors.put(weights), from = vectors.put(x.subarray(0, count * inputs)), to = vectors.room(8 * count * padded);
  vectors.run.affine(from, count, inputs, padded, at + 8 * padded, at, to);
  const found = new Float64Array(vectors.run.memory.buffer, to, count * padded);
  if (padded === outputs) sums.set(found);
  else for (let n = 0; n < count; n++) sums.set(found.subarray(n * padded, n * padded + outputs), n * outputs);
}

function packedOf(layer: Layer): Float64Array {
  let found = packed.get(layer);
  if (found === undefined) {
    const { inputs, outputs, weight, bias } = layer, padded = Math.ceil(outputs / COLUMNS) * COLUMNS;
    found = new Float64Array(padded * (inputs + 1));
    found.set(bias);
    for (let o = 0; o < outputs; o++) for (let j = 0; j < inputs; j++) found[(j + 1) * padded + o] = weight[o * inputs + j];
    packed.set(layer, found);
  }
  return found;
}
