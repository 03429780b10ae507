/** Evaluation of perceptrons by floats, for files without key 9 (docs/format.md, section 4). */

import type { Params } from "../tensor";
import { gainOf } from "./activations";
import { type Arithmetic, type Network, realLayers } from "./perceptron";
import { FINE, fineSines, RADIAN, TURN } from "./tables";

/** Arithmetic in binary64, with the gains in the weights. */
export function floats(network: Network, params: Params): Arithmetic {
  const { activation } = network, layers = realLayers(network, params);
  layers.slice(0, -1).forEach(({ weight, bias }, i) => {
    const gain = Math.fround(gainOf(activation, i === 0));
    weight.forEach((w, at) => (weight[at] = gain * w));
    bias.forEach((b, at) => (bias[at] = gain * b));
  });
  const activate = (z: Float64Array, length: number): void => {
    if (activation.name === "sine") replaceBySines(z, length);
    else if (activation.name === "gaussian") for (let i = 0; i < length; i++) z[i] = Math.exp(-z[i] * z[i]);
    else if (activation.name === "relu") for (let i = 0; i < length; i++) z[i] = Math.max(z[i], 0);
    else wavelets(z, length, network.width, activation.omega0, activation.scale);
  };
  return { layers, limit: (c) => c, feature: (c) => c, sine: Math.sin, cosine: Math.cos, activate };
}

/** Sines by interpolation, with errors below 2^-29: several times faster than those of the language. */
function replaceBySines(z: Float64Array, length: number): void {
  const turn = fineSines(), unit = 2 ** -FINE;
  for (let i = 0; i < length; i++) {
    const position = z[i] * RADIAN, floor = Math.floor(position), at = floor & (TURN - 1), low = turn[at];
    z[i] = (low + (turn[(at + 1) & (TURN - 1)] - low) * (position - floor)) * unit;
  }
}

/** exp(j omega0 z - (scale abs(z))^2) of rows of `width` real parts and as many imaginary ones. */
function wavelets(z: Float64Array, length: number, width: number, omega0: number, scale: number): void {
  for (let row = 0; row < length; row += 2 * width) {
    for (let i = row; i < row + width; i++) {
      const re = z[i], im = z[i + width], magnitude = Math.exp(-omega0 * im - scale * scale * (re * re + im * im));
      z[i] = magnitude * Math.cos(omega0 * re);
      z[i + width] = magnitude * Math.sin(omega0 * re);
    }
  }
}
