/** The samples of a pyramid on its own grid, by integers in binary64 (docs/format.md, section 4.2). */

import { MalformedError } from "../errors";
import { type Params, sizeOf } from "../tensor";
import { affine, type Layer } from "./affine";
import { clip, type Planes, placesOf, range, take, type Window } from "./grid";
import { type Shapes, sizeAt } from "./pyramid";

/** Positions of a matrix product at once. */
const ROWS = 1024;

/** Exact samples of a pyramid. */
export class Synthesis {
  private readonly halved: readonly boolean[];
  private readonly phases: number;
  private readonly planes: number;
  private readonly latents: readonly Planes[];
  private readonly kernel: readonly number[];
  private readonly first: Layer;
  private readonly second: Layer;
  private readonly convolutions: readonly Layer[];

  constructor(readonly shapes: Shapes, params: Params) {
    const { channels, outputs, residuals, sizes, width } = shapes, taps = 3 ** sizes.length;
    const of = (name: string) => params.get(name)!.data as Int32Array;
    this.halved = shapes.halvings.map((h) => h > 0);
    this.phases = 2 ** this.halved.filter((h) => h).length;
    this.planes = channels.reduce((sum, n) => sum + n, 0);
    this.latents = channels.map((count, i) => ({ data: Float64Array.from(of(`latents.${i + 1}`)), count, shape: sizeAt(shapes, i + 1) }));
    this.kernel = channels.length > 1 ? Array.from(of("upsampling"), (w) => w / 2 ** 12) : [];
    this.first = scaled(of("synthesis.0.weight"), of("synthesis.0.bias"), this.planes * taps, 8, 10);
    this.second = scaled(of("synthesis.1.weight"), of("synthesis.1.bias"), width + this.planes, 9, 9, (input) => (input < width ? 1 : 2 ** 5));
    this.convolutions = Array.from({ length: residuals }, (_, i) =>
      scaled(of(`residuals.${i}.weight`), of(`residuals.${i}.bias`), outputs * taps, 12, 12),
    );
  }

  /** Values (*lengths, b) of a part of the grid: the same bits as that part of the whole. */
  window(window: Window): Float32Array {
    const { shapes, halved } = this, size = sizeAt(shapes, 1);
    // A residual convolution takes one more sample on every side, which is half a position of a halved axis.
    const outer = window.map(([a, b], axis): readonly [number, number] => {
      const step = halved[axis] ? 2 : 1, margin = Math.ceil(shapes.residuals / step);
      return [Math.max(0, Math.floor(a / step) - margin), Math.min(size[axis], Math.ceil(b / step) + margin)];
    });
    let samples = this.perceptron(outer);
    this.convolutions.forEach((layer, i) => {
      samples = this.convolved(samples, layer, i === this.convolutions.length - 1);
    });
    const picks = window.map(([a, b], axis) => range(a, b, (x) => x - outer[axis][0] * (halved[axis] ? 2 : 1)));
    const places = placesOf(samples.shape, picks), { count, data } = samples, plane = sizeOf(samples.shape);
    const values = new Float32Array(count * places.length);
    for (let i = 0, at = 0; i < places.length; i++) for (let v = 0; v < count; v++) values[at++] = data[v * plane + places[i]] / 2 ** 16 + 0;
    return values;
  }

  /** The latents of a level, and all coarser ones upsampled, in a window. */
  private gathered(level: number, window: Window): Planes {
    const { halvings } = this.shapes, own = take(this.latents[level - 1], window.map(([a, b]) => range(a, b)));
    for (let i = 0; i < own.data.length; i++) own.data[i] *= 2 ** 8;
    if (level === this.latents.length) return own;
    const size = sizeAt(this.shapes, level + 1), halved = halvings.map((h) => h > level);
    const needed = window.map(([a, b], axis): readonly [number, number] =>
      halved[axis] ? [Math.max(0, (a >> 1) - 2), Math.min(size[axis], ((b - 1) >> 1) + 3)] : [a, b],
    );
    let coarse = this.gathered(level + 1, needed);
    halved.forEach((h, axis) => {
      if (h) coarse = this.doubled(coarse, axis, window[axis], needed[axis][0]);
    });
    const data = new Float64Array(own.data.length + coarse.data.length);
    data.set(own.data);
    data.set(coarse.data, own.data.length);
    return { data, count: own.count + coarse.count, shape: own.shape };
  }

  /** Positions of the finer grid along an axis, from the coarser one, which begins at `start`. */
  private doubled({ data, count, shape }: Planes, axis: number, [a, b]: readonly [number, number], start: number): Planes {
    const length = shape[axis], inner = sizeOf(shape.slice(axis + 1)), outer = count * sizeOf(shape.slice(0, axis)), wanted = b - a;
    const out = new Float64Array(outer * wanted * inner), [u0, u1, u2, u3] = this.kernel;
    for (let i = 0; i < wanted; i++) {
      const middle = ((a + i) >> 1) - start, way = (a + i) & 1 ? -1 : 1;
      const [p0, p1, p2, p3] = [-2, -1, 0, 1].map((k) => inner * clip(middle + way * k, 0, length - 1));
      for (let o = 0; o < outer; o++) {
        const from = o * length * inner, to = (o * wanted + i) * inner;
        for (let j = 0, x = from; j < inner; j++, x++) {
          out[to + j] = Math.floor(u0 * data[x + p0] + u1 * data[x + p1] + u2 * data[x + p2] + u3 * data[x + p3] + 0.5);
        }
      }
    }
    return { data: out, count, shape: shape.map((n, i) => (i === axis ? wanted : n)) };
  }

  /** Both layers at the positions of a window of level 1: samples of twice its size along halved axes. */
  private perceptron(outer: Window): Planes {
    const { shapes, halved, phases, planes } = this, { outputs, width } = shapes, size = sizeAt(shapes, 1);
    const inside = outer.map(([a, b], axis): readonly [number, number] => [Math.max(0, a - 1), Math.min(size[axis], b + 1)]);
    // With a position more on every side; beyond the grid it is that at the edge.
    const around = take(this.gathered(1, inside), outer.map(([a, b], axis) =>
      range(a - 1, b + 1, (x) => clip(x, 0, size[axis] - 1) - inside[axis][0]),
    ));
    const lengths = outer.map(([a, b]) => b - a), shape = lengths.map((n, axis) => (halved[axis] ? 2 * n : n));
    const places = placesOf(around.shape, lengths.map((n) => range(1, n + 1))), taps = placesOf(around.shape, lengths.map(() => range(-1, 2)));
    const targets = placesOf(shape, lengths.map((n, axis) => range(0, n, (x) => (halved[axis] ? 2 * x : x))));
    const corners = placesOf(shape, halved.map((h) => range(0, h ? 2 : 1)));
    const out = new Float64Array(outputs * sizeOf(shape)), plane = sizeOf(around.shape), sample = sizeOf(shape);
    const columns = new Float64Array(ROWS * planes * taps.length), hidden = new Float64Array(ROWS * width);
    const inner = new Float64Array(ROWS * (width + planes)), found = new Float64Array(ROWS * outputs * phases);
    for (let start = 0; start < places.length; start += ROWS) {
      const count = Math.min(ROWS, places.length - start);
      for (let n = 0, at = 0; n < count; n++) {
        for (let p = 0, from = places[start + n]; p < planes; p++, from += plane) {
          for (let t = 0; t < taps.length; t++) columns[at++] = around.data[from + taps[t]];
        }
      }
      affine(columns, count, this.first, hidden);
      for (let n = 0, at = 0; n < count; n++) {
        for (let k = 0; k < width; k++) {
          const a = Math.floor(hidden[n * width + k]);
          inner[at++] = Math.max(8 * a, a);
        }
        for (let p = 0, from = places[start + n]; p < planes; p++, from += plane) inner[at++] = around.data[from];
      }
      affine(inner, count, this.second, found);
      for (let n = 0, at = 0; n < count; n++) {
        for (let v = 0; v < outputs; v++) {
          for (let f = 0; f < phases; f++) out[v * sample + targets[start + n] + corners[f]] = Math.floor(found[at++]);
        }
      }
    }
    return { data: out, count: outputs, shape };
  }

  /** A residual convolution. Edges are mirrored along halved axes and clipped along others. */
  private convolved(x: Planes, layer: Layer, last: boolean): Planes {
    const { halved } = this, { count, shape } = x;
    const mirrored = (i: number, n: number) => (i < 0 ? Math.min(1, n - 1) : i >= n ? Math.max(n - 2, 0) : i);
    const around = take(x, shape.map((n, axis) => range(-1, n + 1, (i) => (halved[axis] ? mirrored(i, n) : clip(i, 0, n - 1)))));
    const places = placesOf(around.shape, shape.map((n) => range(1, n + 1))), taps = placesOf(around.shape, shape.map(() => range(-1, 2)));
    const size = sizeOf(shape), plane = sizeOf(around.shape), data = new Float64Array(count * size);
    const columns = new Float64Array(ROWS * layer.inputs), found = new Float64Array(ROWS * count);
    for (let start = 0; start < size; start += ROWS) {
      const some = Math.min(ROWS, size - start);
      for (let n = 0, at = 0; n < some; n++) {
        for (let v = 0, from = places[start + n]; v < count; v++, from += plane) {
          for (let t = 0; t < taps.length; t++) columns[at++] = around.data[from + taps[t]];
        }
      }
      affine(columns, some, layer, found);
      for (let n = 0, at = 0; n < some; n++) {
        for (let v = 0; v < count; v++) {
          const r = Math.floor(found[at++]), to = v * size + start + n;
          data[to] = x.data[to] + (last ? r : Math.max(r, Math.floor(r / 8)));
        }
      }
    }
    return { data, count, shape };
  }
}

/** A layer whose rounded-down sums are (W x + (b << biasShift) + 2^(shift - 1)) >> shift. */
function scaled(
  weight: Int32Array, bias: Int32Array, inputs: number, biasShift: number, shift: number, gain: (input: number) => number = () => 1,
): Layer {
  return {
    inputs,
    outputs: bias.length,
    weight: Float64Array.from(weight, (w, i) => (w * gain(i % inputs)) / 2 ** shift),
    bias: Float64Array.from(bias, (b) => (b * 2 ** biasShift + 2 ** (shift - 1)) / 2 ** shift),
  };
}

/** `MalformedError` where a sum may reach 2^53 in magnitude, by the bounds of section 4.2. */
export function checkSums(shapes: Shapes, params: Params): void {
  const { channels, halvings, residuals } = shapes, of = (name: string) => params.get(name)!.data as Int32Array;
  const shifted = (name: string, most: bigint, shift: bigint): bigint => {
    const sum = most + (1n << (shift - 1n));
    if (sum >= 1n << 53n) throw new MalformedError(`pyramid: the weights of ${name} are so large that a sum may reach 2^53`);
    return (sum >> shift) + 1n;
  };
  const bounded = (name: string, most: bigint, shift: bigint, biasShift: bigint, itself = 0): bigint => {
    const weight = of(`${name}.weight`), bias = of(`${name}.bias`), columns = weight.length / bias.length;
    let heaviest = 0;
    for (let row = 0; row < bias.length; row++) {
      heaviest = Math.max(heaviest, weight.subarray(row * columns, (row + 1) * columns).reduce((sum, w) => sum + Math.abs(w), 0));
    }
    return shifted(name, BigInt(heaviest + itself) * most + (BigInt(largest(bias)) << biasShift), shift);
  };
  const larger = (a: bigint, b: bigint) => (a > b ? a : b);
  let most = BigInt(Math.max(1, ...channels.map((_, i) => largest(of(`latents.${i + 1}`))))) << 8n;
  const kernel = channels.length > 1 ? of("upsampling").reduce((sum, w) => sum + Math.abs(w), 0) : 0;
  for (let level = 1; level < channels.length; level++) {
    for (const h of halvings) if (h > level) most = larger(most, shifted("upsampling", BigInt(kernel) * most, 12n));
  }
  most = larger(8n * bounded("synthesis.0", most, 10n, 8n), most << 5n);
  most = bounded("synthesis.1", most, 9n, 9n);
  for (let i = 0; i < residuals; i++) most = bounded(`residuals.${i}`, most, 12n, 12n, 2 ** 12);
}

/** The largest magnitude. */
function largest(integers: Int32Array): number {
  let found = 0;
  for (let i = 0; i < integers.length; i++) found = Math.max(found, Math.abs(integers[i]));
  return found;
}
