/** Evaluation of perceptrons by integers, the same bits on every machine (docs/format.md, section 4.3). */

import { MalformedError } from "../errors";
import type { Params } from "../tensor";
import { type Activation, gainOf } from "./activations";
import type { Layer } from "./affine";
import { type Arithmetic, type Network, realLayers } from "./perceptron";
import {
  FINE, fineSines, FRACTION, GAUSSIAN, gaussians, MAGNITUDE, magnitudes, nearest, RADIAN, ROUND, round, sines, TURN, within,
} from "./tables";

/** Fractional bits of an integer, and the logarithm of its largest magnitude. */
export interface Unit {
  readonly fraction: number;
  readonly bits: number;
}

const LINEAR = 16, WAVELET = 21, MOST_BITS = 26, SUM_BITS = 52, MOST_SHIFT = 512;
const WAVE: Unit = { fraction: FRACTION, bits: FRACTION }, COORDINATE: Unit = { fraction: 24, bits: MOST_BITS };
/** Numbers that are interpolated in hash grids. */
export const INTERPOLATED: Unit = { fraction: LINEAR, bits: MOST_BITS };

/** Units of activations, and what a sum of 1 is in the entries of their tables. */
const UNITS = {
  sine: { unit: WAVE, entries: RADIAN },
  gaussian: { unit: WAVE, entries: GAUSSIAN },
  relu: { unit: INTERPOLATED, entries: 2 ** LINEAR },
  wire: { unit: { fraction: WAVELET, bits: WAVELET + 2 }, entries: 1 },
} as const satisfies Record<Activation["name"], { unit: Unit; entries: number }>;

/** A number as an integer of a unit. */
export function fixed(x: number, { fraction, bits }: Unit): number {
  return Math.min(Math.max(round(x * 2 ** fraction), -(2 ** bits)), 2 ** bits);
}

/**
 * Integer arithmetic of a network. `inputs` are the units of its features, where they are not those of its encoding.
 * `MalformedError` for weights that are too large.
 */
export function integers(network: Network, params: Params, inputs?: readonly Unit[]): Arithmetic {
  const { activation, encoding } = network, { unit, entries } = UNITS[activation.name];
  if (activation.name === "wire" && activation.omega0 > 2 * activation.scale) {
    throw new MalformedError("a wavelet of omega0 > 2 scale has values above e, too large for an exact evaluation");
  }
  const first = encoding.coordinates ? network.inputs : 0;
  let units = inputs ?? Array.from({ length: encoding.features }, (_, i) => (i < first ? COORDINATE : WAVE));
  const layers = realLayers(network, params).map((layer, i) => {
    const rounded = exactLayer(layer, i === network.layers - 1 ? 1 : gainOf(activation, i === 0) * entries, units);
    units = Array.from({ length: layer.outputs }, () => unit);
    return rounded;
  });
  const between = activation.name === "wire";
  const wave = between ? (p: number) => round(within(fineSines(), p) * 2 ** (FRACTION - FINE)) : (p: number) => nearest(sines(), p);
  return {
    layers,
    limit: (c) => Math.min(Math.max(c, -4), 4),
    feature: (c) => fixed(c, COORDINATE),
    sine: (phase) => wave(phase * RADIAN),
    cosine: (phase) => wave(phase * RADIAN + TURN / 4),
    activate: activationOf(activation, network.width),
  };
}

/** A layer rounded to the most fractional bits with which its sums stay exact. */
function exactLayer({ inputs, outputs, weight, bias }: Layer, scale: number, units: readonly Unit[]): Layer {
  const weights = weight.map((w, at) => w * scale * 2 ** -units[at % inputs].fraction), biases = bias.map((b) => b * scale);
  let largest = 0;
  weights.forEach((w, at) => (largest = larger(largest, Math.abs(w * 2 ** units[at % inputs].bits))));
  biases.forEach((b) => (largest = larger(largest, Math.abs(b))));
  const shift = SUM_BITS - binaryDigits(inputs) - exponentOf(largest);
  if (!(shift >= 1)) throw new MalformedError("a weight is too large for an exact evaluation");
  const unit = 2 ** Math.min(shift, MOST_SHIFT), rounded = (x: number) => round(x * unit) / unit;
  return { inputs, outputs, weight: weights.map(rounded), bias: biases.map(rounded) };
}

/** The larger number, or infinity where one is not a number. */
function larger(a: number, b: number): number {
  return Number.isNaN(b) ? Infinity : Math.max(a, b);
}

function binaryDigits(n: number): number {
  return 32 - Math.clz32(n);
}

/** The least e with 2^e > x, or 0 for x = 0. */
function exponentOf(x: number): number {
  if (x === 0) return 0;
  let e = Math.ceil(Math.log2(x));
  while (2 ** e <= x) e++;
  while (2 ** (e - 1) > x) e--;
  return e;
}

// -- activations -----------------------------------------------------------------------------------------------

function activationOf(activation: Activation, width: number): (z: Float64Array, length: number) => void {
  if (activation.name === "sine") {
    const turn = sines();
    return (z, length) => {
      // Beyond 2^52 the low bits of a number are those of the nearest integer.
      const words = new Int32Array(z.buffer, z.byteOffset);
      for (let i = 0; i < length; i++) {
        z[i] += ROUND;
        z[i] = turn[words[2 * i] & (TURN - 1)];
      }
    };
  }
  if (activation.name === "gaussian") {
    const entries = gaussians(), last = entries.length - 1;
    return (z, length) => {
      for (let i = 0; i < length; i++) z[i] = entries[round(Math.min(Math.abs(z[i]), last))];
    };
  }
  if (activation.name === "relu") {
    return (z, length) => {
      for (let i = 0; i < length; i++) z[i] = Math.min(Math.max(round(z[i]), 0), 2 ** MOST_BITS);
    };
  }
  return wavelets(width, activation.omega0, activation.scale);
}

/** Wavelets of rows of `width` real parts and as many imaginary ones. */
function wavelets(width: number, omega0: number, scale: number): (z: Float64Array, length: number) => void {
  const waves = fineSines(), sizes = magnitudes(), square = scale * scale, most = 2 ** 16;
  const limit = (x: number) => Math.min(Math.max(x, -most), most);
  return (z, length) => {
    for (let row = 0; row < length; row += 2 * width) {
      for (let i = row; i < row + width; i++) {
        const u = limit(z[i]), v = limit(z[i + width]), exponent = -omega0 * v - square * (u * u + v * v);
        const position = Math.min(Math.max((1 - exponent) * MAGNITUDE, 0), sizes.length - 2);
        const magnitude = within(sizes, position) * 2 ** (WAVELET - 2 * FINE), turn = omega0 * u * RADIAN;
        z[i] = round(magnitude * within(waves, turn + TURN / 4));
        z[i + width] = round(magnitude * within(waves, turn));
      }
    }
  };
}
