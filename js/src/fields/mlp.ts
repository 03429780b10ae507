/** Multilayer perceptrons (docs/format.md, section 4). */

import type { Cbor } from "../container/cbor";
import { LimitError, MalformedError } from "../errors";
import { type DType, type Params, sizeOf } from "../tensor";
import { type Activation, activationOf } from "./activations";
import { type Encoding, encodingOf, identity } from "./encodings";
import { integers } from "./exact";
import type { Entry, Evaluator, Field } from "./field";
import { floats } from "./floats";
import { checkParams, checkRange, integersOf, listOf } from "./header";
import { type Network, perceptron } from "./perceptron";

/** Multiply-adds that an activation takes as long as. */
const NEURON = 32;
const MOST = { inputs: 2 ** 10, outputs: 2 ** 16, width: 2 ** 14, hidden: 2 ** 10 };

export class Mlp implements Field, Network {
  readonly id = 0;
  readonly exact = "asked";
  readonly layers: number;
  readonly parameters: readonly Entry[];
  /** Real numbers of all parameters. */
  readonly count: number;
  readonly cost: number;

  constructor(
    readonly inputs: number,
    readonly outputs: number,
    readonly width: number,
    hidden: number,
    readonly activation: Activation,
    readonly encoding: Encoding = identity(inputs),
  ) {
    this.layers = hidden + 2;
    const complex = activation.name === "wire", parts = complex ? 2 : 1, later: DType = complex ? "complex64" : "float32";
    const sizes = [encoding.features, ...Array<number>(hidden + 1).fill(width), outputs];
    this.parameters = sizes.slice(1).flatMap((size, i) => {
      const dtype = i === 0 ? "float32" : later;
      return [{ name: `layers.${i}.weight`, shape: [size, sizes[i]], dtype }, { name: `layers.${i}.bias`, shape: [size], dtype }];
    });
    const first = (encoding.features + 1) * width, all = this.parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    this.count = first + parts * (all - first);
    this.cost = this.count + NEURON * (width * (hidden + 1) * parts + encoding.features);
  }

  evaluator(params: Params, exact: boolean): Evaluator {
    return { at: perceptron(this, exact ? integers(this, params) : floats(this, params)) };
  }

  /** The network of a header's list [0, a, b, k, l, activation, encoding]. */
  static fromHeader(value: Cbor | undefined, maxParams: number): Mlp {
    const list = listOf(value, "an MLP");
    if (list.length < 6 || list.length > 7 || list[0] !== 0) throw new MalformedError("field header: an MLP is a list of six or seven entries");
    const [inputs, outputs, width, hidden] = sizesOf(list.slice(1, 5));
    const [activation, encoding] = layersOf(list.slice(5), inputs);
    checkRange(inputs, 1, MOST.inputs, "coordinates");
    checkRange(outputs, 1, MOST.outputs, "values");
    checkRange(width, 1, MOST.width, "width");
    return checked(new Mlp(inputs, outputs, width, hidden, activation, encoding), maxParams);
  }
}

/** The sizes of an MLP; those above the format's limits are a `LimitError`. */
function sizesOf(values: readonly Cbor[]): number[] {
  const sizes = integersOf(values, "an MLP"), limits = Object.values(MOST);
  if (sizes.some((size) => size < 0)) throw new MalformedError("field header: the sizes of an MLP are integers >= 0");
  const above = sizes.find((size, i) => size > limits[i]);
  if (above !== undefined) throw new LimitError(`field header: an MLP of ${above} coordinates, values, neurons or layers is above the limits`);
  return sizes;
}

/** Activation and encoding at the end of a header's list. */
export function layersOf(values: readonly Cbor[], inputs: number): [Activation, Encoding] {
  const activation = activationOf(values[0]);
  return [activation, values.length === 1 ? identity(inputs) : encodingOf(values[1], inputs)];
}

/** A field of no more parameters than the reader accepts. */
export function checked<F extends { readonly count: number }>(field: F, maxParams: number): F {
  checkParams(field.count, maxParams);
  return field;
}
