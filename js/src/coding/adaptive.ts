/** Integers on a grid whose distribution follows rows and columns (docs/format.md, section 6.8): coder 3. */

import type { Reader } from "../container/bytes";
import { MalformedError } from "../errors";
import { rowOf } from "./contexts";
import { floorPower, gaussian, SCALES, SHAPES } from "./model";
import { closeBody, openBody, RangeDecoder } from "./rangecoder";

/** Exponents of the units of integers: that of the integer in row i, column j of a matrix is rows[i] + columns[j]. */
export interface Exponents {
  readonly rows: Float64Array;
  readonly columns: Float64Array;
}

const MAX_RADIUS = 2046, MAX_SCALED_RADIUS = 8190; // the second one where units differ
const MAX_INDEX = 136, MAX_MEAN = 2 ** 17; // of a mean magnitude, in sixteenths
const TELLING = 16; // index of a mean magnitude of a quarter, the least that counts
const OCTAVES = 16; // from the last one on, the largest level is the same
const COARSEST = 60; // an exponent above those of all units that count

/** States of a trellis: of each, the next one for bit 1 of a level being 0 and 1. */
const NEXT = Uint8Array.of(0, 1, 2, 3, 5, 4, 7, 6, 1, 0, 3, 2, 4, 5, 6, 7);

/** The parameters at the beginning of a stream. */
interface Parameters {
  readonly shape: number;
  readonly trellis: boolean;
  /** Eighths of an octave from the mean magnitude to the half-width. */
  readonly width: number;
  readonly start: number;
  readonly radius: number;
  readonly row: number;
}

/** `count` integers in rows; their units may differ. */
export function decodeAdaptive(reader: Reader, count: number, exponents?: Exponents): Float64Array {
  const parameters = parametersOf(reader, count, exponents !== undefined), { row, trellis, start } = parameters;
  const body = openBody(reader, count), decoder = new RangeDecoder(body), models = new Models(parameters, exponents !== undefined);
  const values = new Float64Array(count), units = new Units(start, exponents);
  // Sums of magnitudes above a place and numbers of those that count.
  const sums = new Float64Array(Math.min(row, count)), counts = new Uint32Array(sums.length);
  const index = indices();
  let place = 0;
  for (let above = 0; place < count; above++) {
    const end = Math.min(row, count - place);
    let sum = 0, before = 0, state = 0;
    for (let at = 0; at < end; at++, place++) {
      const exponent = units.exponentAt(place);
      const mean = Math.floor((512 * start + 16 * (2 * sum + sums[at])) / (64 * (8 + 2 * before + counts[at])));
      const level = models.decode(decoder, index[Math.min(mean, MAX_MEAN)], exponent, state & 1);
      values[place] = level;
      if (trellis) state = NEXT[2 * state + ((level >> 1) & 1)];
      const unit = units.of(exponent);
      if (unit > 0) {
        const size = Math.abs(level) * unit;
        sum += size;
        sums[at] += size;
        before++;
        counts[at]++;
      }
    }
  }
  decoder.finish();
  closeBody(reader, body);
  return values;
}

function parametersOf(reader: Reader, count: number, scaled: boolean): Parameters {
  const first = reader.byte(), shape = first & 7, most = scaled ? MAX_SCALED_RADIUS : MAX_RADIUS;
  if (shape >= SHAPES.length) throw new MalformedError(`${reader.name}: unknown distribution ${shape}`);
  const start = reader.varint(16 * most), radius = 2 * reader.varint(most / 2);
  return { shape, trellis: ((first >> 3) & 1) === 1, width: (first >> 4) - 8, start, radius, row: rowOf(reader, count) };
}

/** Units of places, in fractions of 1/64 of the finest one. */
class Units {
  private readonly table: Float64Array;
  private readonly columns: number;

  constructor(start: number, private readonly exponents?: Exponents) {
    // Where magnitudes are expected to be a quarter of a level or less, they do not count.
    const last = exponents === undefined ? 0 : Math.floor((indices()[start] - TELLING) / 2);
    this.table = Float64Array.from({ length: COARSEST }, (_, e) => (e <= last || exponents === undefined ? floorPower(24 + e, 2) : 0));
    this.columns = exponents === undefined ? 0 : exponents.columns.length;
  }

  /** The exponent at a place of the tensor. */
  exponentAt(place: number): number {
    const { exponents, columns } = this;
    if (exponents === undefined) return 0;
    return exponents.rows[Math.floor(place / columns)] + exponents.columns[place % columns];
  }

  /** The unit of an exponent; 0 where it does not count. */
  of(exponent: number): number {
    return exponent < COARSEST ? this.table[exponent] : 0;
  }
}

/** The distributions of a stream, made when they are needed. */
class Models {
  private readonly tables: (Uint32Array | undefined)[] = [];

  constructor(private readonly parameters: Parameters, private readonly scaled: boolean) {}

  /** The next integer, for the index of the mean magnitude around it and the exponent of its unit. */
  decode(decoder: RangeDecoder, index: number, exponent: number, odd: number): number {
    const { width, trellis, shape } = this.parameters;
    let scale = index - 2 * exponent + width;
    // Distributions that are narrower than a level are widened, because rounding leaves more ones than their density.
    if (this.scaled) scale += clip((5 * (32 - scale + (trellis ? 8 : 0)) + 10) >> 4, 0, 8);
    scale = clip(scale, 0, SCALES - 1);
    const octave = Math.min(exponent >> 2, OCTAVES - 1), radius = this.radiusAt(octave);
    const key = (octave * 2 + odd) * SCALES + scale;
    let table = this.tables[key];
    if (trellis) {
      table ??= this.tables[key] = gaussian(shape, scale, radius + 1 + odd, radius + odd, 2);
      return 2 * decoder.symbol(table) - radius - odd;
    }
    table ??= this.tables[key] = gaussian(shape, scale, 2 * radius + 1, radius);
    return decoder.symbol(table) - radius;
  }

  /** The largest magnitude in a unit so many octaves above the finest. */
  private radiusAt(octave: number): number {
    const { radius } = this.parameters;
    return octave === 0 ? radius : 2 * ((radius >> (octave + 1)) + 1);
  }
}

let known: Uint8Array | undefined;

/** The index of each mean magnitude: the largest k with floor(2^(k/8)) <= mean, 0 where there is none. */
function indices(): Uint8Array {
  if (known !== undefined) return known;
  known = new Uint8Array(MAX_MEAN + 1);
  for (let k = 0; k <= MAX_INDEX; k++) known.fill(k, floorPower(k, 3));
  return known;
}

function clip(x: number, low: number, high: number): number {
  return Math.min(Math.max(x, low), high);
}
