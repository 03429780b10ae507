/** Integers of a grid, from coarse to fine, under a network that predicts each (docs/format.md, section 6.12). */

import type { Reader } from "../container/bytes";
import { LimitError, MalformedError, TruncatedError } from "../errors";
import { sizeOf } from "../tensor";
import { decodeIntegers } from "./coders";
import { within } from "./integers";
import { root, SIGMA } from "./laplace";
import { RansDecoder, SYMBOLS_PER_BYTE } from "./rans";

const LARGEST = 2 ** 30 - 1, WEIGHT = 2 ** 20, DIFFERENCE = 2 ** 24, NORMAL = 2 ** 12, HIDDEN = 2 ** 15, MEAN = 2 ** 36;
const SCALES = 3, LOGARITHMS = 511, FEWEST_LOW = 32, MOST_LOW = 26;
/** Memory of an integer while it is decoded, and samples whose inputs are counted. */
const BYTES = 24, CHUNK = 2 ** 13;

type Offset = readonly number[];

/** The neighbours of a sample that is new along `axis`, those at -1 and 1 along it first. */
export function taps(axes: number, axis: number, near: number, far: number): Offset[] {
  const reach = Math.floor(Math.sqrt(near));
  let sides: Offset[] = [[]];
  for (let a = 1; a < axes; a++) {
    sides = sides.flatMap((side) => Array.from({ length: 2 * reach + 1 }, (_, i) => [...side, i - reach]));
  }
  const square = (o: Offset) => o.reduce((sum, v) => sum + v * v, 0);
  // They are in raster order, which a stable sort keeps where lengths are equal.
  sides = sides.filter((o) => square(o) <= near).sort((a, b) => square(a) - square(b));
  const found = sides.flatMap((side) => [[-1, ...side], [1, ...side]]);
  for (let n = 3; n <= far; n += 2) found.push([-n, ...sides[0]], [n, ...sides[0]]);
  return found.map(([along, ...side]) => [...side.slice(0, axis), along, ...side.slice(axis)]);
}

/** A pass: the axis along which samples are new, and the spacing of the known ones along each axis. */
interface Pass {
  readonly axis: number;
  readonly known: readonly number[];
  /** Number of the weights. */
  readonly group: number;
  /** Number of new samples along each axis. */
  readonly shape: readonly number[];
}

function passesOf(sizes: readonly number[], halvings: readonly number[]): Pass[] {
  const found: Pass[] = [];
  for (let level = Math.max(...halvings); level > 0; level--) {
    const known = halvings.map((h) => 2 ** Math.min(level, h));
    halvings.forEach((h, axis) => {
      if (h < level) return;
      const shape = sizes.map((n, a) => Math.ceil((n - (a === axis ? known[a] / 2 : 0)) / known[a]));
      if (shape[axis] > 0) found.push({ axis, known: [...known], group: SCALES * axis + Math.min(level - 1, SCALES - 1), shape });
      known[axis] /= 2;
    });
  }
  return found;
}

/** Arrays of integers of a `Predictor`, row by row. */
export interface PredictorWeights {
  readonly linear: Int32Array;
  readonly first: Int32Array;
  readonly firstBias: Int32Array;
  readonly second: Int32Array;
  readonly secondBias: Int32Array;
  readonly third: Int32Array;
  readonly thirdBias: Int32Array;
}

/** The network that predicts. `MalformedError` where a weight is too large. */
export class Predictor {
  readonly width: number;
  /** Numbers of neighbours, and of differences that the network sees. */
  readonly taps: number;
  readonly seen: number;
  /** floor(T 2^(k/16)) and floor(2^(k/16)) for k = 1, 2, ... */
  readonly ofSpread: Float64Array;
  readonly ofOne: Float64Array;

  constructor(
    readonly axes: number,
    readonly near: number,
    readonly far: number,
    readonly values: number,
    readonly weights: PredictorWeights,
  ) {
    this.width = weights.secondBias.length;
    this.taps = taps(axes, 0, near, far).length;
    this.seen = values === 1 ? this.taps : 2 * this.taps + 1;
    for (const array of Object.values(weights) as Int32Array[]) {
      if (array.some((w) => Math.abs(w) >= WEIGHT)) throw new MalformedError("interlaced samples: a weight has more than 20 bits");
    }
    [this.ofSpread, this.ofOne] = [this.taps, 1].map(thresholds);
  }

  /** Multiply-adds for one integer. */
  get work(): number {
    const { width, seen } = this;
    return seen + width * (seen + 2) + width * width + 2 * width;
  }
}

const kept = new Map<number, Float64Array>();

function thresholds(count: number): Float64Array {
  const found = kept.get(count) ?? Float64Array.from({ length: LOGARITHMS }, (_, i) => {
    let power = 1n << BigInt(64 * 16 + i + 1);
    for (let n = 0; n < 4; n++) power = root(power);
    return Number((power * BigInt(count)) >> 64n);
  });
  kept.set(count, found);
  return found;
}

/** How many of the thresholds are at most x. */
function logarithm(x: number, limits: Float64Array): number {
  let low = 0, high = limits.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (limits[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Shapes of a predictor's arrays by name, in storage order. */
export function shapesOf(axes: number, near: number, far: number, values: number, width: number): [string, number[]][] {
  const count = taps(axes, 0, near, far).length, seen = values === 1 ? count : 2 * count + 1, groups = SCALES * axes;
  return [
    ["linear", [groups, seen]], ["first", [width, seen + 2]], ["first_bias", [groups, width]], ["second", [width, width]],
    ["second_bias", [width]], ["third", [2, width]], ["third_bias", [groups, 2]],
  ];
}

/**
 * Integers (values, sizes) of a grid whose axes are halved so often. `LimitError` for more integers than the bytes can hold, or
 * more memory or work than the reader allows, before any of it is taken; `TruncatedError` and `MalformedError` for damaged
 * streams.
 */
export function decodeGrid(reader: Reader, sizes: readonly number[], halvings: readonly number[], predictor: Predictor): Int32Array {
  const { values } = predictor, size = sizeOf(sizes), count = values * size;
  if (count > (reader.remaining + 1) * SYMBOLS_PER_BYTE) throw new LimitError(`${reader.name}: ${count} integers in ${reader.remaining} bytes`);
  reader.checkMemory(BYTES * count + 16 * CHUNK * predictor.seen);
  reader.spend(count * predictor.work);
  const grid = new Int32Array(count), strides = sizes.map((_, a) => sizeOf(sizes.slice(a + 1)));
  const coarsest = sizes.map((n, a) => Math.ceil(n / 2 ** halvings[a])), steps = strides.map((s, a) => s * 2 ** halvings[a]);
  const places = placesOf(coarsest, steps), read = decodeIntegers(reader, values * places.length);
  const top = within(read, -LARGEST, LARGEST, reader, "an integer");
  for (let v = 0, i = 0; v < values; v++) for (const place of places) grid[v * size + place] = top[i++];
  const low = new LowBits(reader, reader.varint(reader.remaining)), every = passesOf(sizes, halvings);
  const decoder = every.length > 0 ? new RansDecoder(reader) : undefined;
  for (const pass of every) for (let v = 0; v < values; v++) decodePass(decoder!, low, pass, grid, v, sizes, strides, predictor);
  low.end();
  decoder?.finish();
  return grid;
}

/** Sums of multiples of steps for all places of a grid, in raster order. */
function placesOf(shape: readonly number[], steps: readonly number[]): Int32Array {
  let found = Int32Array.of(0);
  shape.forEach((n, axis) => {
    const next = new Int32Array(found.length * n);
    for (let i = 0, at = 0; i < found.length; i++) for (let x = 0; x < n; x++) next[at++] = found[i] + x * steps[axis];
    found = next;
  });
  return found;
}

/** Decodes one value of the new samples of a pass. */
function decodePass(
  decoder: RansDecoder,
  bits: LowBits,
  pass: Pass,
  grid: Int32Array,
  value: number,
  sizes: readonly number[],
  strides: readonly number[],
  predictor: Predictor,
): void {
  const { axis, known, shape } = pass, size = sizeOf(sizes), count = sizeOf(shape), own = value * size, before = own - size;
  const offsets = taps(predictor.axes, axis, predictor.near, predictor.far), last = shape.length - 1, run = shape[last];
  const places = placesOf(shape, strides.map((s, a) => s * known[a])), first = (known[axis] / 2) * strides[axis];
  // Where the neighbour of each tap is: a term for each coordinate along an axis.
  const terms = shape.map((n, a) => offsets.map((o) => Int32Array.from({ length: n }, (_, j) => {
    const most = Math.ceil(sizes[a] / known[a]) - 1, step = a === axis ? (o[a] + 1) / 2 : o[a];
    return Math.min(Math.max(j + step, 0), most) * known[a] * strides[a];
  })));
  const found = new Float64Array(count), low = new Uint8Array(count), outer = new Int32Array(offsets.length);
  const network = new Network(predictor, pass.group), { around, beside } = network, index = Array<number>(last).fill(0);
  for (let at = 0; at < count; at += run) {
    outer.fill(0);
    for (let a = 0; a < last; a++) for (let t = 0; t < outer.length; t++) outer[t] += terms[a][t][index[a]];
    for (let j = 0; j < run; j++) {
      for (let t = 0; t < outer.length; t++) {
        const place = outer[t] + terms[last][t][j];
        around[t] = grid[own + place];
        if (value > 0) beside[t + 1] = grid[before + place];
      }
      if (value > 0) beside[0] = grid[before + first + places[at + j]];
      network.predict(value > 0);
      found[at + j] = network.centre + decoder.distance(network.row);
      low[at + j] = network.low;
    }
    for (let a = last - 1; a >= 0 && ++index[a] === shape[a]; a--) index[a] = 0;
  }
  bits.addTo(found, low);
  for (let i = 0; i < count; i++) {
    if (Math.abs(found[i]) > LARGEST) throw new MalformedError(`${bits.name}: an integer has a magnitude above ${LARGEST}`);
    grid[own + first + places[i]] = found[i];
  }
}

/** The network of a group, with memory for its inputs. Integers and what is rounded are numbers of binary64. */
class Network {
  /** The neighbours of a sample; the value before of the sample itself, and of its neighbours. */
  readonly around: Float64Array;
  readonly beside: Float64Array;
  /** The result of `predict`: row of the tables, centre and number of low bits. */
  row = 0;
  centre = 0;
  low = 0;
  private readonly differences: Float64Array;
  private readonly inputs: Float64Array;
  private readonly hidden: Float64Array;
  private readonly sums: Float64Array;
  private readonly linear: Float64Array;
  private readonly first: Float64Array;
  private readonly firstBias: Float64Array;
  private readonly second: Float64Array;
  private readonly third: Float64Array;
  private readonly thirdBias: Float64Array;

  constructor(private readonly predictor: Predictor, group: number) {
    const { seen, width, weights } = predictor, part = (all: Int32Array, n: number) => Float64Array.from(all.subarray(group * n, (group + 1) * n));
    this.around = new Float64Array(predictor.taps);
    this.beside = new Float64Array(predictor.taps + 1);
    this.differences = new Float64Array(seen);
    this.inputs = new Float64Array(seen + 2);
    this.hidden = new Float64Array(width);
    this.sums = new Float64Array(width);
    this.linear = part(weights.linear, seen);
    this.first = Float64Array.from(weights.first);
    this.firstBias = part(weights.firstBias, width);
    this.second = Float64Array.from(weights.second);
    this.third = Float64Array.from(weights.third);
    this.thirdBias = part(weights.thirdBias, 2);
  }

  predict(hasBefore: boolean): void {
    const { around, beside, differences, inputs, hidden, sums, first, second, third, predictor } = this;
    const { taps: count, seen, width, weights } = predictor, middle = around[0] + around[1];
    let spread = count, linear = 0;
    for (let t = 0; t < count; t++) {
      const d = (differences[t] = limited(2 * around[t] - middle, DIFFERENCE));
      spread += Math.abs(d);
    }
    if (seen > count) {
      const between = beside[1] + beside[2];
      for (let t = 0; t <= count; t++) differences[count + t] = hasBefore ? limited(2 * beside[t] - between, DIFFERENCE) : 0;
    }
    for (let i = 0; i < seen; i++) {
      linear += this.linear[i] * differences[i];
      inputs[i] = limited(Math.floor((64 * count * differences[i]) / spread), NORMAL);
    }
    const log = logarithm(spread, predictor.ofSpread);
    inputs[seen] = 4 * log;
    inputs[seen + 1] = 4 * logarithm(Math.abs(differences[0]) + 1, predictor.ofOne);
    for (let r = 0, at = 0; r < width; r++) {
      let sum = 64 * this.firstBias[r];
      for (let i = 0; i < seen + 2; i++) sum += first[at++] * inputs[i];
      hidden[r] = leaky(Math.floor(sum / 64));
    }
    for (let r = 0, at = 0; r < width; r++) {
      let sum = 256 * weights.secondBias[r] + 128;
      for (let i = 0; i < width; i++) sum += second[at++] * hidden[i];
      sums[r] = leaky(Math.floor(sum / 256));
    }
    let mean = 256 * this.thirdBias[0], scale = 256 * this.thirdBias[1];
    for (let r = 0; r < width; r++) {
      const h = hidden[r] + sums[r];
      mean += third[r] * h;
      scale += third[width + r] * h;
    }
    mean = Math.floor((Math.floor(mean / 256) * spread) / (32 * count)) + Math.floor((linear + 256) / 512) + 8 * middle;
    mean = limited(mean, MEAN);
    const sigma = Math.min(Math.max(Math.floor((16 * log + Math.floor(scale / 256)) / 32), -SIGMA), FEWEST_LOW + 8 * MOST_LOW);
    this.low = Math.max(0, Math.ceil((sigma - FEWEST_LOW) / 8));
    const unit = 2 ** this.low, sixteenths = Math.floor((mean - 8 * (unit - 1)) / unit) + 8;
    this.centre = Math.floor(sixteenths / 16);
    this.row = 16 * (sigma - 8 * this.low + SIGMA) + sixteenths - 16 * this.centre;
  }
}

function limited(x: number, most: number): number {
  return x > most ? most : x < -most ? -most : x;
}

/** max(c, c >> 3) of c = x within -2^15 .. 2^15 - 1. */
function leaky(x: number): number {
  const c = Math.min(Math.max(x, -HIDDEN), HIDDEN - 1);
  return c < 0 ? Math.floor(c / 8) : c;
}

/** Bits that are stored as they are, the lowest of each byte first. */
class LowBits {
  private readonly bytes: Uint8Array;
  private at = 0;

  constructor(private readonly reader: Reader, count: number) {
    this.bytes = reader.take(count);
  }

  get name(): string {
    return this.reader.name;
  }

  /** Shifts integers by their numbers of low bits, and fills these in: bit 0 of all, then bit 1, ... */
  addTo(found: Float64Array, low: Uint8Array): void {
    for (let i = 0; i < found.length; i++) found[i] *= 2 ** low[i];
    for (let bit = 0, most = low.reduce((a, b) => Math.max(a, b), 0); bit < most; bit++) {
      for (let i = 0; i < found.length; i++) if (low[i] > bit) found[i] += this.next() * 2 ** bit;
    }
  }

  /** `MalformedError` unless all have been taken, and those that fill the last byte are 0. */
  end(): void {
    const { at, bytes } = this;
    if ((at + 7) >> 3 !== bytes.length || (at & 7 && bytes[bytes.length - 1] >> (at & 7))) {
      throw new MalformedError(`${this.name}: more low bits than samples have`);
    }
  }

  private next(): number {
    const byte = this.at >> 3;
    if (byte >= this.bytes.length) throw new TruncatedError(`${this.name}: fewer low bits than samples have`);
    return (this.bytes[byte] >> (this.at++ & 7)) & 1;
  }
}
