/** Pyramids of latents: their header, and the section of their parameters (docs/format.md, section 4.2). */

import { type ContextWeights, ContextModel, decodeLatents, offsets } from "../coding/latents";
import { decodeWeights } from "../coding/weights";
import type { Reader } from "../container/bytes";
import type { Cbor } from "../container/cbor";
import { MalformedError, UnknownIdError } from "../errors";
import { type Params, sizeOf, type Tensor } from "../tensor";
import type { Entry, Evaluator, Field } from "./field";
import { checkRange, integersOf, listOf } from "./header";
import { checked } from "./mlp";
import { Resampled } from "./resampling";
import { checkSums, Synthesis } from "./synthesis";

const MAX_AXES = 4, MAX_SIZE = 2 ** 24, MAX_LEVELS = 16, PRIOR_BYTES = 16;
/** Names, least and largest values of the sizes of networks at the end of a header's list. */
const NETWORKS = [
  ["causal", 1, 25], ["previous", 0, 16], ["parent", 0, 16], ["hidden", 1, 64], ["width", 1, 256], ["residuals", 0, 2],
] as const;

/** Shapes of a pyramid. */
export interface Shapes {
  /** Samples by axis, and how often each axis is halved. */
  readonly sizes: readonly number[];
  readonly halvings: readonly number[];
  /** Planes of level 1, 2, ... */
  readonly channels: readonly number[];
  readonly outputs: number;
  readonly width: number;
  readonly residuals: number;
}

/** Positions of a level along each axis; level 0 is the grid itself. */
export function sizeAt({ sizes, halvings }: Shapes, level: number): number[] {
  return sizes.map((n, axis) => Math.ceil(n / 2 ** Math.min(level, halvings[axis])));
}

export class Pyramid implements Field, Shapes {
  readonly id = 7;
  readonly exact = "always";
  readonly inputs: number;
  readonly parameters: readonly Entry[];
  readonly count: number;
  readonly cost: number;
  private readonly networks: readonly Entry[];
  private readonly radii: { readonly causal: number; readonly previous: number; readonly parent: number };
  readonly width: number;
  readonly residuals: number;

  constructor(
    readonly outputs: number,
    readonly sizes: readonly number[],
    readonly halvings: readonly number[],
    readonly channels: readonly number[],
    networks: readonly number[],
  ) {
    const [causal, previous, parent, hidden, width, residuals] = networks, d = sizes.length;
    this.inputs = d;
    this.radii = { causal, previous, parent };
    [this.width, this.residuals] = [width, residuals];
    const planes = channels.reduce((sum, n) => sum + n, 0), phases = 2 ** halvings.filter((h) => h > 0).length;
    const taps = Array<number>(d).fill(3), values = outputs;
    const seen = offsets(d, causal, true).length + offsets(d, previous).length + 1 + offsets(d, parent).length;
    const entry = (name: string, ...shape: number[]): Entry => ({ name, shape, dtype: "int32" });
    this.networks = [
      entry("context.0.weight", hidden + 2, seen), entry("context.0.bias", planes, hidden + 2),
      entry("context.1.weight", hidden, hidden), entry("context.1.bias", hidden),
      entry("context.2.weight", 2, hidden), entry("context.2.bias", 2),
      ...(channels.length > 1 ? [entry("upsampling", 4)] : []),
      entry("synthesis.0.weight", width, planes, ...taps), entry("synthesis.0.bias", width),
      entry("synthesis.1.weight", values * phases, width + planes), entry("synthesis.1.bias", values * phases),
      ...Array.from({ length: residuals }, (_, i) => [
        entry(`residuals.${i}.weight`, values, values, ...taps), entry(`residuals.${i}.bias`, values),
      ]).flat(),
    ];
    const latents = channels.map((count, i) => entry(`latents.${i + 1}`, count, ...sizeAt(this, i + 1))).reverse();
    this.parameters = [...this.networks, ...latents];
    this.count = this.parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    const position = planes * (3 ** d * width + 8 * d) + (width + planes) * values * phases;
    this.cost = Math.ceil(position / phases) + residuals * 3 ** d * values * values;
  }

  /** The parameters of a section. */
  decodeSection(reader: Reader): Params {
    const weights = decodeWeights(reader, this.networks.map(({ shape }) => sizeOf(shape)));
    const params = new Map<string, Tensor>(this.networks.map((entry, i) => [entry.name, { ...entry, data: weights[i] }]));
    const of = (name: string) => params.get(name)!.data as Int32Array;
    const context: ContextWeights = {
      first: of("context.0.weight"), bias: of("context.0.bias"), second: of("context.1.weight"),
      secondBias: of("context.1.bias"), third: of("context.2.weight"), thirdBias: of("context.2.bias"),
    };
    const model = new ContextModel(this.inputs, this.radii, context);
    const shapes = this.channels.map((_, i) => sizeAt(this, i + 1));
    const levels = decodeLatents(reader, shapes, this.channels, this.halvings, model);
    this.parameters.slice(this.networks.length).forEach((entry, i) => {
      params.set(entry.name, { ...entry, data: levels[levels.length - 1 - i] });
    });
    checkSums(this, params);
    return params;
  }

  evaluator(params: Params): Evaluator {
    return new Resampled(new Synthesis(this, params));
  }

  /** The field of a header's list [7, b, [sizes], [halvings], [channels], six sizes of networks]. */
  static fromHeader(value: Cbor | undefined, maxParams: number): Pyramid {
    const list = listOf(value, "a pyramid");
    if (list.length < 11 || list.length > 12) throw new MalformedError("field header: a pyramid is a list of eleven or twelve entries");
    if (list.length === 12) {
      const prior = list[11];
      if (!(prior instanceof Uint8Array) || prior.length !== PRIOR_BYTES) {
        throw new MalformedError("field header: the name of a pyramid's prior has 16 bytes");
      }
      throw new UnknownIdError("field header: the prior of a pyramid is not known to this version");
    }
    const [, outputs, ...networks] = integersOf([...list.slice(0, 2), ...list.slice(5)], "a pyramid");
    const [sizes, halvings, named] = list.slice(2, 5).map((part) => integersOf(listOf(part, "a part of a pyramid"), "a pyramid"));
    if (!sizes.length || !halvings.length || !named.length) throw new MalformedError("field header: a list of a pyramid is empty");
    const levels = Math.max(...halvings), last = named[named.length - 1];
    if (named.length > 1 && last === named[named.length - 2]) {
      throw new MalformedError("field header: the last channels of a pyramid are not repeated");
    }
    checkRange(sizes.length, 1, MAX_AXES, "the number of axes");
    if (halvings.length !== sizes.length) throw new MalformedError("field header: a pyramid has a number of halvings for each axis");
    sizes.forEach((n, axis) => {
      checkRange(n, 1, MAX_SIZE, "samples along an axis");
      checkRange(halvings[axis], 0, Math.min(MAX_LEVELS, Math.max(1, 32 - Math.clz32(n - 1))), "halvings");
    });
    if (levels === 0) throw new MalformedError("field header: at least one axis of a pyramid is halved");
    if (named.length > levels) throw new MalformedError("field header: a pyramid has planes of more levels than there are");
    const channels = Array.from({ length: levels }, (_, i) => named[i] ?? last);
    channels.forEach((count) => checkRange(count, 1, 8, "planes of a level"));
    checkRange(outputs, 1, 64, "values of a pyramid");
    NETWORKS.forEach(([name, least, most], i) => checkRange(networks[i], least, most, name));
    return checked(new Pyramid(outputs, sizes, halvings, channels, networks), maxParams);
  }
}
