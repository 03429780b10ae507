/** Values of a pyramid at any position: cubic interpolation, and means for reductions (docs/format.md, section 4.2). */

import { sizeOf } from "../tensor";
import type { Evaluator } from "./field";
import { clip, range, type Window } from "./grid";

/** Samples of a window at once; an interpolated value takes as much memory as some. */
const MOST = 2 ** 18, INTERPOLATED = 4;
/** The rounding of a coordinate in [-1, 1], twice its error. */
const ROUNDING = 2 ** -25;
/** Blocks of samples kept for points, and their side. */
const KEPT = 16, SIDE = 2 ** 16;

/** Numbers of a grid, its values last. */
interface Values {
  readonly data: Float64Array;
  readonly shape: readonly number[];
}

/** The samples of a grid, of which any window can be had. */
export interface Gridded {
  readonly shapes: { readonly sizes: readonly number[]; readonly outputs: number };
  /** Values (*lengths, b) of a part of the grid. */
  window(window: Window): Float32Array;
}

export class Resampled implements Evaluator {
  private readonly sizes: readonly number[];
  private readonly blocks = new Map<string, { samples: Float32Array; start: number[]; shape: number[] }>();

  constructor(private readonly samples: Gridded) {
    this.sizes = samples.shapes.sizes;
  }

  onGrid(axes: readonly Float32Array[], whole: readonly Float32Array[]): Float32Array {
    return this.grid(axes.map((axis, a) => new Axis(positions(axis, this.sizes[a]), this.sizes[a], factorOf(positions(whole[a], this.sizes[a])))));
  }

  at(coords: Float32Array, count: number): Float32Array {
    const { sizes } = this, d = sizes.length, b = this.samples.shapes.outputs, side = Math.floor(SIDE ** (1 / d));
    const out = new Float32Array(count * b), taps = 4 ** d, values = new Float64Array(taps);
    const places = sizes.map((n, a) => positions(Float32Array.from({ length: count }, (_, i) => coords[i * d + a]), n));
    for (let i = 0; i < count; i++) {
      const base = places.map((u) => Math.floor(u[i])), weights = places.map((u, a) => cubic(u[i] - base[a]));
      const { samples, start, shape } = this.block(base.map((x) => Math.floor(x / side)), side);
      const at = base.map((x, a) => [-1, 0, 1, 2].map((k) => clip(x + k, 0, sizes[a] - 1) - start[a]));
      for (let v = 0; v < b; v++) {
        for (let t = 0; t < taps; t++) {
          let place = 0;
          for (let a = 0; a < d; a++) place = place * shape[a] + at[a][(t >> (2 * (d - 1 - a))) & 3];
          values[t] = samples[place * b + v];
        }
        for (let a = 0, left = taps / 4; a < d; a++, left /= 4) {
          const [w0, w1, w2, w3] = weights[a];
          for (let j = 0; j < left; j++) {
            values[j] = values[j] * w0 + values[left + j] * w1 + values[2 * left + j] * w2 + values[3 * left + j] * w3;
          }
        }
        out[i * b + v] = values[0];
      }
    }
    return out;
  }

  /** The samples near the points of a block. */
  private block(number: readonly number[], side: number): { samples: Float32Array; start: number[]; shape: number[] } {
    const key = number.join(), known = this.blocks.get(key);
    if (known) return known;
    const window = number.map((i, a): readonly [number, number] => [Math.max(0, i * side - 1), Math.min(this.sizes[a], (i + 1) * side + 2)]);
    const made = { samples: this.samples.window(window), start: window.map(([a]) => a), shape: window.map(([a, b]) => b - a) };
    if (this.blocks.size === KEPT) this.blocks.clear();
    this.blocks.set(key, made);
    return made;
  }

  /** Values at all combinations, in parts of bounded memory. */
  private grid(axes: readonly Axis[]): Float32Array {
    const b = this.samples.shapes.outputs, exact = axes.every((axis) => axis.exact);
    const samples = sizeOf(axes.map(({ stop, start }) => stop - start)), count = sizeOf(axes.map(({ base }) => base.length));
    if (samples > MOST || (!exact && INTERPOLATED * count > MOST)) {
      const sizes = axes.map(({ base, stop, start }) => (base.length > 1 ? Math.max(stop - start, INTERPOLATED * base.length) : 0));
      const longest = sizes.indexOf(Math.max(...sizes));
      if (sizes[longest] > 0) return this.halves(axes, longest);
    }
    const found = this.samples.window(axes.map(({ start, stop }) => [start, stop] as const));
    if (exact && samples === count) return found;
    let values: Values = { data: Float64Array.from(found), shape: axes.map(({ start, stop }) => stop - start) }, boxes = 1;
    if (!exact) {
      axes.forEach((axis, a) => {
        if (axis.factor === 1) return;
        boxes *= axis.factor;
        values = along(values, a, b, axis.means.length, (i) => axis.box(i));
      });
      if (boxes > 1) values.data.forEach((x, i) => (values.data[i] = x / boxes));
    }
    axes.forEach((axis, a) => {
      values = axis.onSamples
        ? along(values, a, b, axis.base.length, (i) => [[axis.base[i] - axis.start, 1]])
        : along(values, a, b, axis.base.length, (i) => axis.taps(i));
    });
    return Float32Array.from(values.data);
  }

  private halves(axes: readonly Axis[], axis: number): Float32Array {
    const b = this.samples.shapes.outputs, lengths = axes.map(({ base }) => base.length), middle = lengths[axis] >> 1;
    const parts = [axes[axis].part(0, middle), axes[axis].part(middle, lengths[axis])];
    const found = parts.map((part) => this.grid(axes.map((each, a) => (a === axis ? part : each))));
    const inner = b * sizeOf(lengths.slice(axis + 1)), outer = sizeOf(lengths.slice(0, axis)), out = new Float32Array(b * sizeOf(lengths));
    for (let o = 0, at = 0; o < outer; o++) {
      for (let p = 0; p < 2; p++) {
        const size = inner * parts[p].base.length;
        out.set(found[p].subarray(o * size, (o + 1) * size), at);
        at += size;
      }
    }
    return out;
  }
}

/** Positions along an axis, among the means of `factor` samples. */
class Axis {
  /** The mean at or before each position. */
  readonly base: Int32Array;
  /** Whether all positions are samples, and whether all are means. */
  readonly exact: boolean;
  readonly onSamples: boolean;
  /** The samples that are needed. */
  readonly start: number;
  readonly stop: number;
  private readonly places: Float64Array;

  constructor(places: Float64Array, readonly size: number, readonly factor: number, reduced = false) {
    if (factor > 1 && !reduced) {
      const last = Math.ceil(size / factor) - 1;
      places = places.map((u) => clip(snapped((u - (factor - 1) / 2) / factor, (2 * size) / factor), 0, last));
    }
    this.places = places;
    this.base = Int32Array.from(places, Math.floor);
    this.onSamples = factor === 1 && places.every((u, i) => u === this.base[i]);
    this.exact = this.onSamples;
    const [before, behind] = this.exact ? [0, 1] : [-1, 3];
    const first = this.base.reduce((a, b) => Math.min(a, b)) + before, end = this.base.reduce((a, b) => Math.max(a, b)) + behind;
    this.start = Math.min(Math.max(first * factor, 0), size - 1);
    this.stop = Math.max(Math.min(end * factor, size), this.start + 1);
  }

  /** Some of the positions. */
  part(first: number, end: number): Axis {
    return new Axis(this.places.slice(first, end), this.size, this.factor, true);
  }

  /** The means that the samples start .. stop - 1 make, those beyond the edges left out. */
  get means(): Int32Array {
    return range(Math.floor(this.start / this.factor), Math.ceil(this.stop / this.factor));
  }

  /** The samples of a mean, by their distance from `start`, with weights of 1. */
  box(i: number): (readonly [number, number])[] {
    const first = (Math.floor(this.start / this.factor) + i) * this.factor;
    return Array.from({ length: this.factor }, (_, k) => [clip(first + k, 0, this.size - 1) - this.start, 1] as const);
  }

  /** The four means around a position, by their distance from the first one, and their weights. */
  taps(i: number): (readonly [number, number])[] {
    const { base, factor, places, size, start } = this, last = Math.ceil(size / factor) - 1, first = Math.floor(start / factor);
    return cubic(places[i] - base[i]).map((w, k) => [clip(base[i] + k - 1, 0, last) - first, w] as const);
  }
}

/** Weighted sums along an axis, each product and each sum rounded to binary64, in order. */
function along(
  { data, shape }: Values,
  axis: number,
  values: number,
  length: number,
  terms: (i: number) => readonly (readonly [number, number])[],
): Values {
  const inner = values * sizeOf(shape.slice(axis + 1)), outer = sizeOf(shape.slice(0, axis)), out = new Float64Array(outer * length * inner);
  for (let i = 0; i < length; i++) {
    terms(i).forEach(([from, weight], term) => {
      for (let o = 0; o < outer; o++) {
        const source = (o * shape[axis] + from) * inner, target = (o * length + i) * inner;
        for (let j = 0; j < inner; j++) {
          const product = data[source + j] * weight;
          out[target + j] = term ? out[target + j] + product : product;
        }
      }
    });
  }
  return { data: out, shape: shape.map((n, a) => (a === axis ? length : n)) };
}

/** Positions among the n samples of an axis, limited to it. */
function positions(coords: Float32Array, n: number): Float64Array {
  return Float64Array.from(coords, (c) => {
    const u = ((c + 1) * n - 1) / 2;
    return clip(snapped(Number.isNaN(u) ? 0 : u, n), 0, n - 1);
  });
}

/** A position, or the integer in its place that is within the rounding of coordinates. */
function snapped(u: number, size: number): number {
  const nearest = Math.round(u);
  return Math.abs(u - nearest) <= size * ROUNDING ? nearest : u;
}

/** The number of samples that are replaced by their mean: the spacing of positions, rounded down. */
function factorOf(u: Float64Array): number {
  if (u.length < 2) return 1;
  return Math.max(1, Math.floor(((u[u.length - 1] - u[0]) / (u.length - 1)) * (1 + 2 ** -16)));
}

/** Weights of the samples at -1, 0, 1, 2 for a position t in [0, 1). */
function cubic(t: number): [number, number, number, number] {
  return [(((2 - t) * t - 1) * t) / 2, ((3 * t - 5) * t * t + 2) / 2, (((4 - 3 * t) * t + 1) * t) / 2, ((t - 1) * t * t) / 2];
}
