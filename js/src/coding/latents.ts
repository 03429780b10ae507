/** Latents of a pyramid, each under a distribution that a small network predicts (docs/format.md, section 6.10). */

import type { Reader } from "../container/bytes";
import { LimitError, MalformedError } from "../errors";
import { sizeOf } from "../tensor";
import { type Vectors, vectors } from "../wasm/vectors";
import { SIGMA, tables } from "./laplace";
import { RansDecoder, SYMBOLS_PER_BYTE } from "./rans";

export type Offset = readonly number[];

const CLIP = 255, HIDDEN = 2 ** 15, WORST = 2 ** 31, CHUNK = 4096, PLACE = 36;

/** All o with |o|^2 <= `square`, in the order of (|o|^2, o); where `causal`, those before 0 in raster order. */
export function offsets(axes: number, square: number, causal = false): Offset[] {
  const reach = Math.floor(Math.sqrt(square));
  let found: number[][] = [[]];
  for (let axis = 0; axis < axes; axis++) {
    found = found.flatMap((o) => Array.from({ length: 2 * reach + 1 }, (_, i) => [...o, i - reach]));
  }
  const lengthOf = (o: Offset) => o.reduce((sum, v) => sum + v * v, 0), first = (o: Offset) => o.find((v) => v !== 0) ?? 0;
  // Ties stay in raster order: sorting is stable.
  return found.filter((o) => lengthOf(o) <= square && (!causal || first(o) < 0)).sort((a, b) => lengthOf(a) - lengthOf(b));
}

/** The network that predicts the distribution of a latent: integers with 8 fractional bits. */
export interface ContextWeights {
  /** (W + 2, K), (planes, W + 2), (W, W), (W), (2, W), (2). */
  readonly first: Int32Array;
  readonly bias: Int32Array;
  readonly second: Int32Array;
  readonly secondBias: Int32Array;
  readonly third: Int32Array;
  readonly thirdBias: Int32Array;
}

/** The network with its neighbourhoods; `MalformedError` where a sum may reach 2^31. */
export class ContextModel {
  readonly width: number;
  readonly causal: readonly Offset[];
  readonly previous: readonly Offset[];
  readonly parent: readonly Offset[];
  /** How many fronts later the next place along each axis comes, and the same place of the next plane. */
  readonly slopes: readonly number[];
  readonly delay: number;
  /** Multiply-adds for a latent. */
  readonly work: number;
  /** The largest magnitude of a sum of the first product. */
  readonly largest: number;

  constructor(
    readonly axes: number,
    readonly radii: { readonly causal: number; readonly previous: number; readonly parent: number },
    readonly weights: ContextWeights,
  ) {
    this.width = weights.secondBias.length;
    this.causal = offsets(axes, radii.causal, true);
    this.previous = offsets(axes, radii.previous);
    this.parent = offsets(axes, radii.parent);
    const { first, second, third } = weights;
    this.work = first.length + second.length + third.length;
    this.slopes = this.slopesOf();
    const along = (o: Offset) => this.slopes.reduce((sum, slope, axis) => sum + slope * o[axis], 0);
    this.delay = 1 + Math.max(...this.previous.map(along));
    this.largest = this.checkSums();
  }

  /** Inputs of the network. */
  get inputs(): number {
    return this.causal.length + this.previous.length + 1 + this.parent.length;
  }

  private slopesOf(): number[] {
    const { axes } = this, slopes = Array<number>(axes).fill(1);
    for (let axis = axes - 2; axis >= 0; axis--) {
      for (const o of this.causal) {
        if (o[axis] >= 0 || o.slice(0, axis).some((v) => v !== 0)) continue;
        let behind = 0;
        for (let a = axis + 1; a < axes; a++) behind += slopes[a] * o[a];
        slopes[axis] = Math.max(slopes[axis], Math.floor(behind / -o[axis]) + 1);
      }
    }
    return slopes;
  }

  private checkSums(): number {
    const { width, inputs } = this, { first, bias, second, secondBias, third, thirdBias } = this.weights;
    const row = (w: Int32Array, r: number, n: number) => w.subarray(r * n, (r + 1) * n).reduce((sum, x) => sum + Math.abs(x), 0);
    const sums = Array.from({ length: width + 2 }, (_, r) => {
      let most = 0;
      for (let at = r; at < bias.length; at += width + 2) most = Math.max(most, Math.abs(bias[at]));
      return CLIP * row(first, r, inputs) + most;
    });
    const inner = Array.from(secondBias, (b, r) => HIDDEN * row(second, r, width) + 256 * Math.abs(b) + 128);
    const outer = Array.from(thirdBias, (b, r) => HIDDEN * row(third, r, width) + 256 * Math.abs(b) + 128);
    const output = outer.map((sum, r) => Math.floor(sum / 256) + 17 + sums[width + r]);
    if (Math.max(...sums, ...inner, ...outer, ...output) >= WORST) {
      throw new MalformedError("a context model: its weights are so large that a sum may reach 2^31");
    }
    return Math.max(...sums);
  }
}

/**
 * The latents (channels, *shape) of each level, finest first, to the end of the reader. Axis a is halved from level l to
 * level l + 1 where halvings[a] > l. `LimitError` for more latents than the bytes can hold, or more memory or work than the
 * reader allows, before any of it is taken; `TruncatedError` and `MalformedError` for damaged streams.
 */
export function decodeLatents(
  reader: Reader,
  shapes: readonly (readonly number[])[],
  channels: readonly number[],
  halvings: readonly number[],
  model: ContextModel,
): Int32Array[] {
  const coded = codedPlanes(reader, channels), sizes = shapes.map(sizeOf);
  const count = coded.reduce((sum, planes, i) => sum + planes.length * sizes[i], 0);
  if (count > reader.remaining * SYMBOLS_PER_BYTE) throw new LimitError(`${reader.name}: ${count} latents in ${reader.remaining} bytes`);
  const kept = channels.reduce((sum, planes, i) => sum + 4 * planes * sizes[i], 0);
  reader.checkMemory(kept + Math.max(...channels.map((planes, i) => memory(model, planes, coded[i].length, shapes.slice(i, i + 2)))));
  reader.spend(count * model.work);
  const found: Int32Array[] = [], decoder = count > 0 ? new RansDecoder(reader) : undefined;
  for (let i = shapes.length - 1, plane = model.weights.bias.length / (model.width + 2); i >= 0; i--) {
    plane -= channels[i];
    const planes = new Int32Array(channels[i] * sizes[i]);
    if (decoder && coded[i].length > 0) {
      const above = i + 1 < shapes.length ? { planes: found[0], channels: channels[i + 1], shape: shapes[i + 1] } : undefined;
      const halved = halvings.map((h) => h > i + 1);
      decodeLevel(decoder, model, plane, planes, channels[i], shapes[i], coded[i], halved, above);
    }
    found.unshift(planes);
  }
  decoder?.finish();
  reader.end();
  return found;
}

/** The planes of each level that are not all zeros, finest level first. */
function codedPlanes(reader: Reader, channels: readonly number[]): number[][] {
  const planes = channels.reduce((sum, n) => sum + n, 0), flags = reader.take(Math.ceil(planes / 8));
  const isZero = (at: number) => ((flags[at >> 3] >> (at & 7)) & 1) === 1;
  for (let at = planes; at < 8 * flags.length; at++) {
    if (isZero(at)) throw new MalformedError(`${reader.name}: bits are set behind the flags of ${planes} planes`);
  }
  let at = planes;
  return channels.map((count) => {
    at -= count;
    return Array.from({ length: count }, (_, k) => k).filter((k) => !isZero(at + k));
  });
}

/** Bytes that decoding a level takes beside all latents, as section 8 counts them. */
function memory(model: ContextModel, planes: number, coded: number, shapes: readonly (readonly number[])[]): number {
  if (coded === 0) return 0;
  const [shape, ...coarser] = shapes, cells = coarser.reduce((sum, each) => sum + sizeOf(each), 0);
  const number = model.largest < 2 ** 24 ? 4 : 8, outputs = model.width + 3, places = coded * sizeOf(shape);
  const margins = marginsOf(shape, Math.max(model.radii.causal, model.radii.previous));
  const buffer = (planes + 2) * sizeOf(shape.map((n, axis) => n + 2 * margins[axis])) * number;
  const parents = cells * number * (model.parent.length + 2 * coded * outputs);
  const front = Math.max(Math.min(places, CHUNK), Math.floor(places / Math.max(...shape)));
  const inputs = model.causal.length + model.previous.length + 1;
  return PLACE * places + buffer + parents + front * ((8 + number) * inputs + (2 * number + 32) * outputs);
}

/** Zeros at the ends of each axis, for the offsets that have a place. */
function marginsOf(shape: readonly number[], square: number): number[] {
  return shape.map((n) => Math.min(Math.floor(Math.sqrt(square)), n - 1));
}

function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
}

/** Whether any place of a grid has a neighbour at an offset. */
function isWithin(o: Offset, shape: readonly number[]): boolean {
  return o.every((v, axis) => Math.abs(v) < shape[axis]);
}

/** For every place of a grid, in raster order, the sum of one term for each axis. */
function rasterOf(shape: readonly number[], term: (axis: number, x: number) => number): Int32Array {
  let sums = Int32Array.of(0);
  shape.forEach((n, axis) => {
    const terms = Int32Array.from({ length: n }, (_, x) => term(axis, x)), next = new Int32Array(sums.length * n);
    for (let i = 0, at = 0; i < sums.length; i++) for (let x = 0; x < n; x++) next[at++] = sums[i] + terms[x];
    sums = next;
  });
  return sums;
}

interface Above {
  readonly planes: Int32Array;
  readonly channels: number;
  readonly shape: readonly number[];
}

/** A level as its loop needs it. Lanes are those of the hidden values, padded to fours, and two more, padded as well. */
interface Level {
  /** Numbers of plane and place of all latents in the order of the stream. */
  readonly order: Int32Array;
  readonly size: number;
  /** Where a place is in a plane of `seen`, and in the coarser level; where each coded plane is in `seen`. */
  readonly places: Int32Array;
  readonly cells: Int32Array;
  readonly starts: Int32Array;
  /** Latents as inputs, within margins of zeros; two planes of zeros stand before the first one. */
  readonly seen: Int32Array;
  /** Distances of the inputs that exist, and their weights (inputs, lanes). */
  readonly steps: Int32Array;
  readonly first: Int32Array;
  /** What bias and coarser level add to the first product: (coded planes, cells, lanes). */
  readonly from: Int32Array;
  readonly many: number;
  readonly width: number;
  /** (width, hidden lanes), their biases, (2, hidden lanes), and two biases; biases as they are added. */
  readonly second: Int32Array;
  readonly secondBias: Int32Array;
  readonly third: Int32Array;
  readonly thirdBias: Int32Array;
}

function decodeLevel(
  decoder: RansDecoder,
  model: ContextModel,
  plane: number,
  planes: Int32Array,
  channels: number,
  shape: readonly number[],
  coded: readonly number[],
  halved: readonly boolean[],
  above: Above | undefined,
): void {
  const { width, inputs, weights } = model, size = sizeOf(shape), lanes = lanesOf(width), all = lanes + 4;
  const margins = marginsOf(shape, Math.max(model.radii.causal, model.radii.previous));
  const padded = shape.map((n, axis) => n + 2 * margins[axis]), planeSize = sizeOf(padded), strides = stridesOf(padded);
  const none = Array<number>(model.axes).fill(0);
  const taps: (readonly [number, Offset])[] = [
    ...model.causal.map((o) => [0, o] as const), ...model.previous.map((o) => [1, o] as const), [2, none],
  ];
  const exist = taps.flatMap(([, o], i) => (isWithin(o, shape) ? [i] : [])), first = new Int32Array(exist.length * all);
  exist.forEach((input, j) => {
    for (let r = 0; r < width + 2; r++) first[j * all + laneOf(r, width)] = weights.first[r * inputs + input];
  });
  const second = new Int32Array(width * lanes), secondBias = new Int32Array(lanes), third = new Int32Array(2 * lanes);
  for (let r = 0; r < width; r++) {
    secondBias[r] = (weights.secondBias[r] << 8) + 128;
    for (let j = 0; j < width; j++) second[j * lanes + r] = weights.second[r * width + j];
    for (let output = 0; output < 2; output++) third[output * lanes + r] = weights.third[output * width + r];
  }
  const coarse = above ? stridesOf(above.shape) : none;
  const level: Level = {
    order: orderOf(model, shape, coded),
    size,
    places: rasterOf(shape, (axis, x) => (x + margins[axis]) * strides[axis]),
    cells: rasterOf(shape, (axis, x) => (halved[axis] ? x >> 1 : x) * coarse[axis]),
    starts: Int32Array.from(coded, (k) => (k + 2) * planeSize),
    seen: new Int32Array((channels + 2) * planeSize),
    steps: Int32Array.from(exist, (i) => strides.reduce((sum, s, axis) => sum + s * taps[i][1][axis], -taps[i][0] * planeSize)),
    first,
    from: parentSums(model, plane, coded, above),
    many: above ? sizeOf(above.shape) : 1,
    width,
    second,
    secondBias,
    third,
    thirdBias: weights.thirdBias.map((b) => (b << 8) + 128),
  };
  const kernels = vectors(), found = kernels ? byVectors(kernels, decoder, level) : plainly(decoder, level);
  coded.forEach((k, number) => planes.set(found.subarray(number * size, (number + 1) * size), k * size));
}

/** Hidden values padded to vectors of four. */
function lanesOf(width: number): number {
  return (width + 3) & ~3;
}

/** The lane of an output of the first product. */
function laneOf(output: number, width: number): number {
  return output < width ? output : lanesOf(width) + output - width;
}

/** The latents (coded planes, places) by a kernel. */
function byVectors(kernels: Vectors, decoder: RansDecoder, level: Level): Int32Array {
  const { order, starts, steps, size, many, width } = level, lanes = lanesOf(width), { bytes, radii } = tableBytes();
  kernels.clear();
  const put = (data: Int32Array) => kernels.put(data);
  const [orders, places, cells, planes, seen, distances, first, from] = [
    order, level.places, level.cells, starts, level.seen, steps, level.first, level.from,
  ].map(put);
  const [second, secondBias, third, thirdBias, table, radius] = [
    level.second, level.secondBias, level.third, level.thirdBias, bytes, radii,
  ].map(put);
  const stream = kernels.put(decoder.rest), outer = kernels.room(4 * (lanes + 4)), hidden = kernels.room(4 * lanes);
  const found = kernels.room(4 * order.length);
  decoder.runKernel(kernels, stream, (data, length) => kernels.run.latents(
    orders, order.length, size, places, cells, planes, seen, distances, steps.length, first, from, many, width,
    second, secondBias, third, thirdBias, table, radius, data, length, found, outer, hidden,
  ));
  return new Int32Array(kernels.run.memory.buffer, found, order.length).slice();
}

/** Starts and frequencies of all rows as the kernel takes them, 256 of each after the other. */
function tableBytes(): { bytes: Int32Array; radii: Int32Array } {
  if (known === undefined) {
    const { frequencies, starts, radii } = tables(), bytes = new Int32Array(2 * starts.length);
    for (let row = 0; row < radii.length; row++) {
      bytes.set(starts.subarray(256 * row, 256 * (row + 1)), 512 * row);
      bytes.set(frequencies.subarray(256 * row, 256 * (row + 1)), 512 * row + 256);
    }
    known = { bytes, radii };
  }
  return known;
}

let known: { bytes: Int32Array; radii: Int32Array } | undefined;

/** The latents (coded planes, places) in plain JavaScript. */
function plainly(decoder: RansDecoder, level: Level): Int32Array {
  const { order, size, places, cells, starts, seen, steps, first, from, many, width, second, secondBias, third, thirdBias } = level;
  const lanes = lanesOf(width), all = lanes + 4, found = new Int32Array(order.length);
  const outer = new Int32Array(all), hidden = new Int32Array(lanes), sums = new Int32Array(lanes);
  for (const index of order) {
    const number = Math.floor(index / size), x = index - number * size, own = places[x] + starts[number];
    const parent = (number * many + cells[x]) * all;
    for (let r = 0; r < all; r++) outer[r] = from[parent + r];
    for (let t = 0; t < steps.length; t++) {
      const value = seen[own + steps[t]];
      if (value === 0) continue; // most are
      for (let r = 0, at = t * all; r < all; r++) outer[r] += Math.imul(first[at + r], value);
    }
    sums.set(secondBias);
    for (let j = 0, at = 0; j < width; j++, at += lanes) {
      const value = Math.min(Math.max(outer[j], -HIDDEN), HIDDEN - 1), h = (hidden[j] = Math.max(value, value >> 3));
      for (let r = 0; r < lanes; r++) sums[r] += Math.imul(second[at + r], h);
    }
    let [mu, spread] = thirdBias;
    for (let r = 0; r < width; r++) {
      const value = Math.min(Math.max(sums[r] >> 8, -HIDDEN), HIDDEN - 1);
      const active = Math.min(Math.max(value, value >> 3) + hidden[r], HIDDEN - 1);
      mu = (mu + Math.imul(third[r], active)) | 0;
      spread = (spread + Math.imul(third[lanes + r], active)) | 0;
    }
    const mean = ((mu >> 8) + outer[lanes] + 8) >> 4, centre = (mean + 8) >> 4;
    const sigma = Math.min(Math.max(((spread >> 8) + outer[lanes + 1] + 16) >> 5, -SIGMA), SIGMA);
    const value = centre + decoder.distance(16 * (sigma + SIGMA) + mean - 16 * centre + 8);
    if (value < -WORST || value >= WORST) throw decoder.malformed();
    found[index] = value;
    seen[own] = Math.min(Math.max(value, -CLIP), CLIP);
  }
  return found;
}

/** What bias and coarser level add to the first product: (coded planes, cells, lanes). */
function parentSums(model: ContextModel, plane: number, coded: readonly number[], above: Above | undefined): Int32Array {
  const { width, inputs, weights } = model, outputs = width + 2, cells = above ? sizeOf(above.shape) : 1;
  const all = lanesOf(width) + 4, lanes = Array.from({ length: outputs }, (_, r) => laneOf(r, width));
  const sums = new Int32Array(coded.length * cells * all), bias = new Int32Array(all);
  coded.forEach((k, number) => {
    lanes.forEach((lane, r) => (bias[lane] = weights.bias[(plane + k) * outputs + r]));
    for (let c = 0, at = number * cells * all; c < cells; c++, at += all) sums.set(bias, at);
  });
  if (!above) return sums;
  const strides = stridesOf(above.shape), before = inputs - model.parent.length;
  coded.forEach((k, number) => {
    const source = Math.min(k, above.channels - 1) * cells, target = number * cells * all;
    model.parent.forEach((o, tap) => {
      if (!isWithin(o, above.shape)) return;
      const step = strides.reduce((sum, stride, axis) => sum + stride * o[axis], 0);
      for (let c = 0; c < cells; c++) {
        if (above.planes[source + c] === 0) continue; // most are
        const value = Math.min(Math.max(above.planes[source + c], -CLIP), CLIP), to = c - step;
        // The cell whose neighbour at o this one is.
        if (!above.shape.every((n, axis) => isInside(Math.floor(c / strides[axis]) % n - o[axis], n))) continue;
        for (let r = 0, at = target + to * all; r < outputs; r++) {
          sums[at + lanes[r]] += Math.imul(weights.first[r * inputs + before + tap], value);
        }
      }
    });
  });
  return sums;
}

function isInside(x: number, n: number): boolean {
  return x >= 0 && x < n;
}

/** The numbers of all latents, plane after plane in raster order, as they are coded: by fronts. */
function orderOf(model: ContextModel, shape: readonly number[], coded: readonly number[]): Int32Array {
  const time = rasterOf(shape, (axis, x) => model.slopes[axis] * x), size = time.length;
  const last = shape.reduce((sum, n, axis) => sum + model.slopes[axis] * (n - 1), model.delay * Math.max(...coded));
  const next = new Int32Array(last + 2);
  for (const k of coded) for (let x = 0; x < size; x++) next[time[x] + model.delay * k + 1]++;
  for (let front = 1; front < next.length; front++) next[front] += next[front - 1];
  const order = new Int32Array(size * coded.length);
  coded.forEach((k, number) => {
    for (let x = 0; x < size; x++) order[next[time[x] + model.delay * k]++] = number * size + x;
  });
  return order;
}
