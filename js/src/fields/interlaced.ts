/** Samples themselves, within a bound on their error (docs/format.md, section 4.4). */

import { decodeGrid, Predictor, type PredictorWeights, shapesOf } from "../coding/interlaced";
import { decodeWeights } from "../coding/weights";
import type { Reader } from "../container/bytes";
import type { Cbor } from "../container/cbor";
import { MalformedError } from "../errors";
import { type Params, sizeOf, type Tensor } from "../tensor";
import type { Entry, Evaluator, Field } from "./field";
import type { Window } from "./grid";
import { checkRange, integersOf, listOf, numberOf } from "./header";
import { checked } from "./mlp";
import { type Gridded, Resampled } from "./resampling";

const MAX_AXES = 4, MAX_SIZE = 2 ** 24, MAX_HALVINGS = 24, MAX_VALUES = 64, MAX_NEAR = 8, MAX_WIDTH = 64, MOST_STEP = 2 ** 40;
const SAMPLES = "samples";

export class Interlaced implements Field {
  readonly id = 8;
  readonly exact = "always";
  readonly inputs: number;
  readonly cost: number;
  readonly parameters: readonly Entry[];
  readonly count: number;

  constructor(
    readonly outputs: number,
    readonly sizes: readonly number[],
    readonly halvings: readonly number[],
    private readonly near: number,
    private readonly far: number,
    width: number,
    readonly steps: readonly number[],
    readonly origins: readonly number[],
  ) {
    this.inputs = sizes.length;
    this.cost = 4 * sizes.length * outputs;
    const shapes = [...shapesOf(sizes.length, near, far, outputs, width), [SAMPLES, [outputs, ...sizes]] as const];
    this.parameters = shapes.map(([name, shape]) => ({ name, shape, dtype: "int32" }));
    this.count = shapes.reduce((sum, [, shape]) => sum + sizeOf(shape), 0);
  }

  /** The parameters of a section. */
  decodeSection(reader: Reader): Params {
    const network = this.parameters.slice(0, -1), weights = decodeWeights(reader, network.map(({ shape }) => sizeOf(shape)));
    const params = new Map<string, Tensor>(network.map((entry, i) => [entry.name, { ...entry, data: weights[i] }]));
    const [linear, first, firstBias, second, secondBias, third, thirdBias] = weights;
    const arrays: PredictorWeights = { linear, first, firstBias, second, secondBias, third, thirdBias };
    const predictor = new Predictor(this.inputs, this.near, this.far, this.outputs, arrays);
    const data = decodeGrid(reader, this.sizes, this.halvings, predictor);
    reader.end();
    return params.set(SAMPLES, { ...this.parameters[network.length], data });
  }

  evaluator(params: Params): Evaluator {
    return new Resampled(new Samples(this, params.get(SAMPLES)!.data as Int32Array));
  }

  /** The field of a header's list [8, b, [sizes], [halvings], near, far, width, [steps], [origins]]. */
  static fromHeader(value: Cbor | undefined, maxParams: number): Interlaced {
    const list = listOf(value, "interlaced samples");
    if (list.length !== 9) throw new MalformedError("field header: interlaced samples are a list of nine entries");
    const [, outputs, near, far, width] = integersOf([...list.slice(0, 2), ...list.slice(4, 7)], "interlaced samples");
    const [sizes, halvings] = list.slice(2, 4).map((part) => integersOf(listOf(part, "a part of interlaced samples"), "interlaced samples"));
    const [steps, origins] = list.slice(7).map((part) => listOf(part, "a part of interlaced samples").map((x) => numberOf(x, "interlaced samples")));
    checkRange(sizes.length, 1, MAX_AXES, "the number of axes");
    if (halvings.length !== sizes.length) throw new MalformedError("field header: interlaced samples have a number of halvings for each axis");
    sizes.forEach((n, axis) => {
      checkRange(n, 1, MAX_SIZE, "samples along an axis");
      checkRange(halvings[axis], 0, Math.min(MAX_HALVINGS, n > 1 ? 32 - Math.clz32(n - 1) : 0), "halvings");
    });
    checkRange(outputs, 1, MAX_VALUES, "values of interlaced samples");
    checkRange(near, 0, MAX_NEAR, "near");
    if (![1, 3, 5, 7].includes(far)) throw new MalformedError(`field header: far is 1, 3, 5 or 7, found ${far}`);
    checkRange(width, 1, MAX_WIDTH, "width");
    if (steps.length !== outputs || origins.length !== outputs) {
      throw new MalformedError("field header: interlaced samples have a step and an origin for each value");
    }
    if (!steps.every((step) => step >= 1 / MOST_STEP && step <= MOST_STEP) || !origins.every((x) => Math.abs(x) <= 2)) {
      throw new MalformedError("field header: steps are in 2^-40 .. 2^40, and origins in -2 .. 2");
    }
    return checked(new Interlaced(outputs, sizes, halvings, near, far, width, steps, origins), maxParams);
  }
}

/** The values of the samples of any window. */
class Samples implements Gridded {
  readonly shapes: { readonly sizes: readonly number[]; readonly outputs: number };

  constructor(private readonly field: Interlaced, private readonly integers: Int32Array) {
    this.shapes = field;
  }

  window(window: Window): Float32Array {
    const { outputs, sizes, steps, origins } = this.field, lengths = window.map(([a, b]) => b - a), count = sizeOf(lengths);
    const out = new Float32Array(count * outputs), size = sizeOf(sizes), last = sizes.length - 1, run = lengths[last];
    for (let i = 0; i < count; i += run) {
      let place = 0;
      for (let a = 0, rest = i / run, left = count / run; a < last; a++) {
        left /= lengths[a];
        place = (place + window[a][0] + Math.floor(rest / left)) * sizes[a + 1];
        rest %= left;
      }
      place += window[last][0];
      for (let j = 0; j < run; j++) {
        for (let v = 0; v < outputs; v++) out[(i + j) * outputs + v] = this.integers[v * size + place + j] * steps[v] + origins[v];
      }
    }
    return out;
  }
}
