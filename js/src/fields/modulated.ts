/** Networks that many signals share, and the fields of signals beside them (docs/format.md, section 11). */

import type { Cbor } from "../container/cbor";
import { MalformedError } from "../errors";
import { type Params, sizeOf, type Tensor } from "../tensor";
import type { Entry, Evaluator, Field } from "./field";
import { checkRange, integersOf, isInteger, listOf } from "./header";
import { checked, Mlp } from "./mlp";

const MODULATION = "modulation.weight", MAX_LATENTS = 2 ** 14, MAX_SIDE = 2 ** 20;

/** The network of a base: an MLP, and the map from latents to shifts of its hidden neurons. */
export class Modulated {
  readonly id = 3;
  readonly parameters: readonly Entry[];
  readonly count: number;
  readonly cost: number;
  /** Number of shifted neurons. */
  readonly shifts: number;

  constructor(readonly mlp: Mlp, readonly latents: number) {
    this.shifts = mlp.width * (mlp.layers - 1);
    this.parameters = [...mlp.parameters, { name: MODULATION, shape: [this.shifts, latents], dtype: "float32" }];
    this.count = mlp.count + this.shifts * latents;
    this.cost = mlp.cost + this.shifts * latents;
  }

  static fromHeader(value: Cbor | undefined, maxParams: number): Modulated {
    const list = listOf(value, "a modulated network");
    if (list.length !== 3 || list[0] !== 3) throw new MalformedError("field header: a modulated network is a list of its id, a number of latents and an MLP");
    const mlp = Mlp.fromHeader(list[2], maxParams);
    if (mlp.activation.name === "wire") throw new MalformedError("field header: modulations have a real activation");
    const [latents] = integersOf([list[1]], "a modulated network");
    checkRange(latents, 1, MAX_LATENTS, "latents");
    return checked(new Modulated(mlp, latents), maxParams);
  }
}

/** The network of a base. */
export type Shared = Mlp | Modulated;

/** The network of a base, from its file's header. */
export function sharedFromHeader(value: Cbor | undefined, maxParams: number): Shared {
  return Array.isArray(value) && value[0] === 3 ? Modulated.fromHeader(value, maxParams) : Mlp.fromHeader(value, maxParams);
}

/** A signal as latents of a modulated network: one set for the whole, or one for each patch. */
export class Latents implements Field {
  readonly inputs: number;
  readonly outputs: number;
  readonly cost: number;
  readonly exact = "never";
  readonly parameters: readonly Entry[];
  readonly count: number;
  /** Patches along each axis. */
  private readonly counts: readonly number[];

  constructor(
    /** 4 for levels of the base, 6 for a record. */
    readonly id: 4 | 6,
    private readonly network: Modulated,
    private readonly shared: Params,
    private readonly sizes: readonly number[],
    private readonly patch: readonly number[],
  ) {
    this.inputs = network.mlp.inputs;
    this.outputs = network.mlp.outputs;
    this.cost = network.cost;
    this.counts = sizes.map((n, j) => Math.ceil(n / patch[j]));
    const shape = [sizeOf(this.counts), network.latents];
    this.parameters = [{ name: "latents", shape, dtype: "float32" }];
    this.count = sizeOf(shape);
  }

  evaluator(params: Params): Evaluator {
    const { inputs, outputs, patch } = this, latents = params.get("latents")!.data as Float32Array, { latents: d } = this.network;
    const networks = new Map<number, Evaluator>(), of = (number: number): Evaluator => {
      let found = networks.get(number);
      if (!found) networks.set(number, (found = this.shifted(latents.subarray(number * d, (number + 1) * d))));
      return found;
    };
    if (patch.length === 0) return of(0);
    return {
      at: (coords, count) => {
        const { numbers, local } = this.located(coords, count), values = new Float32Array(count * outputs);
        const order = Array.from(numbers.keys()).sort((a, b) => numbers[a] - numbers[b]);
        for (let start = 0; start < count; ) {
          let stop = start;
          while (stop < count && numbers[order[stop]] === numbers[order[start]]) stop++;
          const some = order.slice(start, stop), positions = new Float32Array(some.length * inputs);
          some.forEach((n, i) => positions.set(local.subarray(n * inputs, (n + 1) * inputs), i * inputs));
          const found = of(numbers[some[0]]).at(positions, some.length);
          some.forEach((n, i) => values.set(found.subarray(i * outputs, (i + 1) * outputs), n * outputs));
          start = stop;
        }
        return values;
      },
    };
  }

  /** The shared network with the shifts of a set of latents. */
  private shifted(latents: Float32Array): Evaluator {
    const { mlp } = this.network, map = this.shared.get(MODULATION)!.data as Float32Array, params = new Map<string, Tensor>(this.shared);
    for (let i = 0; i < mlp.layers - 1; i++) {
      const name = `layers.${i}.bias`, bias = (this.shared.get(name)!.data as Float32Array).slice();
      for (let o = 0; o < mlp.width; o++) {
        const row = (i * mlp.width + o) * latents.length;
        let shift = 0;
        for (let j = 0; j < latents.length; j++) shift += map[row + j] * latents[j];
        bias[o] += shift;
      }
      params.set(name, { dtype: "float32", shape: [mlp.width], data: bias });
    }
    return mlp.evaluator(params, false);
  }

  /** The patch of each position, and coordinates in it. */
  private located(coords: Float32Array, count: number): { numbers: Float64Array; local: Float32Array } {
    const { inputs, sizes, patch, counts } = this, numbers = new Float64Array(count), local = new Float32Array(count * inputs);
    for (let n = 0; n < count; n++) {
      for (let j = 0; j < inputs; j++) {
        const place = ((coords[n * inputs + j] + 1) * sizes[j]) / 2 / patch[j];
        const number = Math.min(Math.max(Math.floor(place) || 0, 0), counts[j] - 1);
        numbers[n] = numbers[n] * counts[j] + number;
        local[n * inputs + j] = 2 * (place - number) - 1;
      }
    }
    return { numbers, local };
  }
}

/** An MLP whose parameters are stored as differences from those of a base. */
export class Difference implements Field {
  readonly id = 0;
  readonly exact = "asked";
  readonly inputs: number;
  readonly outputs: number;
  readonly cost: number;
  readonly parameters: readonly Entry[];
  readonly count: number;

  constructor(private readonly mlp: Mlp, private readonly shared: Params) {
    ({ inputs: this.inputs, outputs: this.outputs, cost: this.cost, parameters: this.parameters, count: this.count } = mlp);
  }

  evaluator(params: Params, exact: boolean): Evaluator {
    const sums = [...params].map(([name, { dtype, shape, data }]): [string, Tensor] => {
      const base = this.shared.get(name)!.data as Float32Array;
      return [name, { dtype, shape, data: (data as Float32Array).map((x, i) => x + base[i]) }];
    });
    return this.mlp.evaluator(new Map(sums), exact);
  }
}

/** The field of a signal beside a base: of its file's header, and the network, parameters and patch of the base. */
export function besideFromHeader(
  value: Cbor | undefined,
  network: Shared,
  header: Cbor | undefined,
  shared: Params,
  patch: readonly number[],
  maxParams: number,
): Latents | Difference {
  if (network instanceof Mlp) {
    if (!same(value, header)) throw new MalformedError("field header: expected the network of the base");
    return new Difference(network, shared);
  }
  const list = listOf(value, "the latents of a base"), [id, ...rest] = list;
  if (id !== 4 && id !== 6) throw new MalformedError("field header: expected latents of the base");
  if (!rest.every(isInteger)) throw new MalformedError("field header: the samples of a signal by axis are integers");
  const sizes = rest.map(Number);
  if (sizes.length !== patch.length || (patch.length !== 0 && patch.length !== network.mlp.inputs)) {
    throw new MalformedError("field header: expected a length for every axis of the signal, or none");
  }
  [...sizes, ...patch].forEach((n) => checkRange(n, 1, MAX_SIDE, "samples along an axis"));
  return checked(new Latents(id, network, shared, sizes, patch), maxParams);
}

/** Whether two values of a header are the same. */
function same(a: Cbor | undefined, b: Cbor | undefined): boolean {
  const plain = (value: Cbor | undefined) => JSON.stringify(value, (_, x: unknown) => (typeof x === "bigint" ? `${x}n` : x));
  return plain(a) === plain(b);
}
