/** Grids of numbers at several resolutions before a perceptron (docs/format.md, section 4.1). */

import type { Cbor } from "../container/cbor";
import { MalformedError } from "../errors";
import { type Params, sizeOf } from "../tensor";
import { fixed, integers, INTERPOLATED } from "./exact";
import type { Entry, Evaluator, Field } from "./field";
import { floats } from "./floats";
import { checkRange, integersOf, listOf } from "./header";
import { checked, Mlp } from "./mlp";
import { layersOf, ROWS } from "./perceptron";

/** Multipliers of hashed vertices by axis. */
const PRIMES = [1, 2654435761, 805459861] as const;

/** A level: vertices and multipliers by axis, and the number of its entries. */
interface Level {
  readonly vertices: readonly number[];
  readonly strides: readonly number[];
  readonly entries: number;
  readonly hashed: boolean;
}

export class HashGrid implements Field {
  readonly id = 2;
  readonly exact = "asked";
  readonly network: Mlp;
  readonly parameters: readonly Entry[];
  readonly count: number;
  readonly cost: number;
  private readonly levels: readonly Level[];

  constructor(
    readonly inputs: number,
    readonly outputs: number,
    width: number,
    hidden: number,
    readonly channels: number,
    private readonly table: number,
    cells: readonly number[],
    extent: readonly number[],
  ) {
    this.network = new Mlp(cells.length * channels, outputs, width, hidden, { name: "relu" });
    this.levels = cells.map((count) => this.level(count, extent));
    const grids = this.levels.map(({ entries }, i): Entry => ({ name: `grid.${i}`, shape: [entries, channels], dtype: "float32" }));
    this.parameters = [...grids, ...this.network.parameters];
    this.count = this.network.count + grids.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    this.cost = this.network.cost + cells.length * 2 ** inputs * (channels + inputs);
  }

  private level(cells: number, extent: readonly number[]): Level {
    const longest = Math.max(...extent);
    const vertices = Array.from({ length: this.inputs }, (_, j) =>
      1 + (extent.length ? Math.max(1, Math.floor((2 * cells * extent[j] + longest) / (2 * longest))) : cells),
    );
    const count = sizeOf(vertices), hashed = count > this.table;
    const strides = vertices.map((_, j) => (hashed ? PRIMES[j] : sizeOf(vertices.slice(j + 1))));
    return { vertices, strides, entries: Math.min(this.table, count), hashed };
  }

  /** Whether a level's vertices share entries, and the numbers in a row of its table, for the contexts of its coder. */
  rowOf(level: number): number | undefined {
    const { hashed, vertices } = this.levels[level];
    return hashed ? undefined : vertices[vertices.length - 1] * this.channels;
  }

  evaluator(params: Params, exact: boolean): Evaluator {
    const { network, inputs, outputs, channels, levels } = this, features = levels.length * channels;
    const units = Array.from({ length: features }, () => INTERPOLATED);
    const run = layersOf(exact ? integers(network, params, units) : floats(network, params), outputs);
    const tables = levels.map((_, i) => params.get(`grid.${i}`)!.data as Float32Array);
    const x = new Float64Array(ROWS * features), found = new Float32Array(channels);
    const at = (coords: Float32Array, count: number): Float32Array => {
      const values = new Float32Array(count * outputs);
      for (let start = 0; start < count; start += ROWS) {
        const some = Math.min(ROWS, count - start);
        for (let n = 0; n < some; n++) {
          const position = coords.subarray((start + n) * inputs, (start + n + 1) * inputs);
          levels.forEach((level, i) => {
            this.interpolate(level, tables[i], position, found);
            const own = n * features + i * channels;
            for (let c = 0; c < channels; c++) x[own + c] = exact ? fixed(found[c], INTERPOLATED) : found[c];
          });
        }
        run(x, some, values.subarray(start * outputs));
      }
      return values;
    };
    return { at };
  }

  /** The numbers of a level at a position: every operation is rounded to binary32. */
  private interpolate({ vertices, strides, hashed }: Level, table: Float32Array, position: Float32Array, out: Float32Array): void {
    const { inputs, channels } = this, near: number[] = [], share: number[] = [], fround = Math.fround;
    for (let j = 0; j < inputs; j++) {
      const last = vertices[j] - 1, x = fround(fround(position[j] + 1) * fround(last / 2));
      const clipped = Math.min(Math.max(x, 0), last), base = Math.min(Math.max(Math.floor(clipped), 0), last - 1);
      near.push(base);
      share.push(fround(clipped - base));
    }
    for (let corner = 0; corner < 2 ** inputs; corner++) {
      let entry = 0, weight = 1;
      for (let j = 0; j < inputs; j++) {
        const far = (corner >> (inputs - 1 - j)) & 1, vertex = near[j] + far, factor = far ? share[j] : fround(1 - share[j]);
        weight = fround(weight * factor);
        entry = hashed ? (entry ^ Math.imul(vertex, strides[j])) >>> 0 : entry + vertex * strides[j];
      }
      const at = (hashed ? (entry & (this.table - 1)) >>> 0 : entry) * channels;
      for (let c = 0; c < channels; c++) {
        const term = fround(table[at + c] * weight);
        out[c] = corner ? out[c] + term : term;
      }
    }
  }

  /** The field of a header's list [2, a, b, k, l, channels, log2 table, [cells], extent]. */
  static fromHeader(value: Cbor | undefined, maxParams: number): HashGrid {
    const list = listOf(value, "a hash grid");
    if (list.length < 8 || list.length > 9) throw new MalformedError("field header: a hash grid is a list of eight or nine entries");
    const [id, inputs, outputs, width, hidden, channels, bits] = integersOf(list.slice(0, 7), "a hash grid");
    const cells = integersOf(listOf(list[7], "the cells of a hash grid"), "a hash grid");
    const extent = list.length === 9 ? integersOf(listOf(list[8], "the extent of a hash grid"), "a hash grid") : [];
    if (id !== 2 || (list.length === 9 && extent.length === 0)) throw new MalformedError("field header: not the list of a hash grid");
    checkRange(bits, 0, 24, "the logarithm of a table");
    checkRange(inputs, 1, 3, "coordinates of a hash grid");
    checkRange(channels, 1, 64, "channels of a hash grid");
    checkRange(cells.length, 1, 32, "the number of levels");
    cells.forEach((count) => checkRange(count, 1, 2 ** 20, "cells of a level"));
    if (extent.length && extent.length !== inputs) throw new MalformedError("field header: the extent of a hash grid has a number for each axis");
    extent.forEach((length) => checkRange(length, 1, 2 ** 31 - 1, "the extent of a hash grid"));
    checkRange(cells.length * channels, 1, 2 ** 10, "features of a hash grid");
    checkRange(outputs, 1, 2 ** 16, "values");
    checkRange(width, 1, 2 ** 14, "width");
    checkRange(hidden, 0, 2 ** 10, "hidden layers");
    return checked(new HashGrid(inputs, outputs, width, hidden, channels, 2 ** bits, cells, extent), maxParams);
  }
}
