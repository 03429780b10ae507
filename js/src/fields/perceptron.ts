/** Layers of a multilayer perceptron, evaluated for many positions at once. */

import type { Params } from "../tensor";
import type { Activation } from "./activations";
import { affine, type Layer } from "./affine";
import { type Encoding, phasesOf } from "./encodings";

/** What a perceptron consists of. */
export interface Network {
  readonly inputs: number;
  readonly outputs: number;
  readonly width: number;
  /** Affine layers. */
  readonly layers: number;
  readonly activation: Activation;
  readonly encoding: Encoding;
}

/** How numbers are held and computed: as floats, or as integers. */
export interface Arithmetic {
  readonly layers: readonly Layer[];
  /** A coordinate before everything else, and as a feature. */
  limit(coordinate: number): number;
  feature(coordinate: number): number;
  sine(phase: number): number;
  cosine(phase: number): number;
  /** Replaces the first `length` sums by activations, in place. */
  activate(sums: Float64Array, length: number): void;
}

/** Positions evaluated at once, so that two layers of usual widths stay in the cache. */
const TILE = 512;

/** The function of a perceptron: values (count, outputs), binary32, at coordinates (count, inputs). */
export function perceptron(network: Network, arithmetic: Arithmetic): (coords: Float32Array, count: number) => Float32Array {
  const { inputs, outputs, encoding } = network, frequencies = encoding.frequencies(), phases = encoding.sines.length;
  const limited = new Float32Array(TILE * inputs), phase = new Float32Array(TILE * phases);
  const features = new Float64Array(TILE * encoding.features), run = layersOf(arithmetic, outputs);
  return (coords, count) => {
    const values = new Float32Array(count * outputs);
    for (let start = 0; start < count; start += TILE) {
      const some = Math.min(TILE, count - start);
      for (let i = 0; i < some * inputs; i++) limited[i] = arithmetic.limit(coords[start * inputs + i]);
      phasesOf(limited, some, inputs, frequencies, phase);
      for (let n = 0; n < some; n++) {
        const row = n * encoding.features;
        if (encoding.coordinates) {
          for (let j = 0; j < inputs; j++) features[row + j] = arithmetic.feature(limited[n * inputs + j]);
        }
        for (let p = 0; p < phases; p++) {
          features[row + encoding.sines[p]] = arithmetic.sine(phase[n * phases + p]);
          features[row + encoding.cosines[p]] = arithmetic.cosine(phase[n * phases + p]);
        }
      }
      run(features, some, values.subarray(start * outputs));
    }
    return values;
  };
}

/** All layers: features (count, first inputs), at most `TILE` rows, to values (count, outputs). */
export function layersOf(
  arithmetic: Arithmetic,
  outputs: number,
): (features: Float64Array, count: number, values: Float32Array) => void {
  const { layers } = arithmetic, widest = Math.max(...layers.map((layer) => layer.outputs));
  const buffers = [new Float64Array(TILE * widest), new Float64Array(TILE * widest)];
  return (features, count, values) => {
    let x = features;
    layers.forEach((layer, i) => {
      const sums = buffers[i % 2];
      affine(x, count, layer, sums);
      if (i < layers.length - 1) arithmetic.activate(sums, count * layer.outputs);
      x = sums;
    });
    for (let i = 0; i < count * outputs; i++) values[i] = x[i];
  };
}

/** Rows of features in a call of what `layersOf` returns. */
export const ROWS = TILE;

/**
 * The layers of a network as real numbers, without gains: a complex layer has twice as many numbers, real parts before
 * imaginary ones, but for the last one, which gives real parts alone. Weights of the first layer and its inputs are real,
 * the imaginary parts of its sums 0.
 */
export function realLayers(network: Network, params: Params): Layer[] {
  const complex = network.activation.name === "wire";
  return Array.from({ length: network.layers }, (_, i) => {
    const { data: w, shape } = params.get(`layers.${i}.weight`)!, { data: b } = params.get(`layers.${i}.bias`)!;
    const weights = w as Float32Array, biases = b as Float32Array, [outputs, inputs] = shape, last = i === network.layers - 1;
    if (!complex) return { inputs, outputs, weight: Float64Array.from(weights), bias: Float64Array.from(biases) };
    const rows = last ? outputs : 2 * outputs, columns = i === 0 ? inputs : 2 * inputs;
    const weight = new Float64Array(rows * columns), bias = new Float64Array(rows);
    for (let o = 0; o < outputs; o++) {
      bias[o] = biases[i === 0 ? o : 2 * o];
      if (!last && i > 0) bias[outputs + o] = biases[2 * o + 1];
      for (let j = 0; j < inputs; j++) {
        if (i === 0) {
          weight[o * columns + j] = weights[o * inputs + j];
          continue;
        }
        const at = 2 * (o * inputs + j), re = weights[at], im = weights[at + 1];
        weight[o * columns + j] = re;
        weight[o * columns + inputs + j] = -im;
        if (last) continue;
        weight[(outputs + o) * columns + j] = im;
        weight[(outputs + o) * columns + inputs + j] = re;
      }
    }
    return { inputs: columns, outputs: rows, weight, bias };
  });
}
