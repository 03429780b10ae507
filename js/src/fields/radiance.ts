/** Fields of scenes: a trunk for density and features, and a head for colour (docs/format-signals.md). */

import type { Cbor } from "../container/cbor";
import { MalformedError } from "../errors";
import type { Params, Tensor } from "../tensor";
import type { Activation } from "./activations";
import { type Encoding, octaves, phasesOf } from "./encodings";
import type { Entry, Evaluator, Field } from "./field";
import { HashGrid } from "./hashgrid";
import { checkRange, integersOf, listOf } from "./header";
import { checked, layersOf, Mlp } from "./mlp";

/** An evaluator of a scene: density can be had without colour. */
export interface SceneEvaluator extends Evaluator {
  /** Raw density at positions (count, 3). */
  density(positions: Float32Array, count: number): Float32Array;
}

export class Radiance implements Field {
  readonly inputs = 6;
  readonly outputs = 4;
  readonly exact = "never";
  readonly parameters: readonly Entry[];
  readonly count: number;
  readonly cost: number;
  private readonly head: Mlp;
  private readonly directions: Encoding | undefined;

  constructor(
    readonly id: 1 | 5,
    private readonly trunk: Mlp | HashGrid,
    private readonly features: number,
    head: number,
    count: number,
    activation: Activation,
  ) {
    this.directions = count > 0 ? octaves(3, count, 2, 1) : undefined;
    this.head = new Mlp(features + (this.directions?.features ?? 3), 3, head, 0, activation);
    const named = (prefix: string, part: Field) => part.parameters.map((entry) => ({ ...entry, name: prefix + entry.name }));
    this.parameters = [...named("trunk.", trunk), ...named("head.", this.head)];
    this.count = trunk.count + this.head.count;
    this.cost = trunk.cost + this.head.cost;
  }

  evaluator(params: Params): SceneEvaluator {
    const trunk = this.trunk.evaluator(under("trunk.", params), false), head = this.head.evaluator(under("head.", params), false);
    const { features, directions } = this, wide = this.head.inputs;
    const frequencies = directions?.frequencies() ?? new Float32Array();
    return {
      density: (positions, count) => trunk.at(positions, count).filter((_, i) => i % (1 + features) === 0),
      at: (coords, count) => {
        const positions = new Float32Array(3 * count), views = new Float32Array(3 * count);
        for (let n = 0; n < count; n++) {
          positions.set(coords.subarray(6 * n, 6 * n + 3), 3 * n);
          views.set(coords.subarray(6 * n + 3, 6 * n + 6), 3 * n);
        }
        const hidden = trunk.at(positions, count), input = new Float32Array(count * wide);
        const phases = new Float32Array((count * frequencies.length) / 3), each = frequencies.length / 3;
        phasesOf(views, count, 3, frequencies, phases);
        for (let n = 0; n < count; n++) {
          const row = n * wide + features;
          input.set(hidden.subarray(n * (1 + features) + 1, (n + 1) * (1 + features)), n * wide);
          input.set(views.subarray(3 * n, 3 * n + 3), row);
          for (let p = 0; directions && p < each; p++) {
            input[row + directions.sines[p]] = Math.sin(phases[n * each + p]);
            input[row + directions.cosines[p]] = Math.cos(phases[n * each + p]);
          }
        }
        const colours = head.at(input, count), values = new Float32Array(4 * count);
        for (let n = 0; n < count; n++) {
          values.set(colours.subarray(3 * n, 3 * n + 3), 4 * n);
          values[4 * n + 3] = hidden[n * (1 + features)];
        }
        return values;
      },
    };
  }

  /** The field of a header's list [1, k, l, features, head, octaves, activation, encoding] or [5, trunk, features, head, octaves]. */
  static fromHeader(value: Cbor | undefined, maxParams: number): Radiance {
    const list = listOf(value, "a radiance field");
    if (list[0] === 5) return Radiance.onGrid(list, maxParams);
    if (list.length < 7 || list.length > 8) throw new MalformedError("field header: a radiance field is a list of seven or eight entries");
    const [, width, hidden, features, head, count] = integersOf(list.slice(0, 6), "a radiance field");
    const [activation, encoding] = layersOf(list.slice(6), 3);
    checkHead(features, head, count);
    checkRange(width, 1, 2 ** 14, "width");
    checkRange(hidden, 0, 2 ** 10, "hidden layers");
    const trunk = new Mlp(3, 1 + features, width, hidden, activation, encoding);
    return checked(new Radiance(1, trunk, features, head, count, activation), maxParams);
  }

  private static onGrid(list: readonly Cbor[], maxParams: number): Radiance {
    if (list.length !== 5) throw new MalformedError("field header: a radiance field of a hash grid is a list of its id and four entries");
    const [features, head, count] = integersOf(list.slice(2), "a radiance field"), trunk = HashGrid.fromHeader(list[1], maxParams);
    checkHead(features, head, count);
    const cube = (list[1] as readonly Cbor[]).length === 8;
    if (trunk.inputs !== 3 || trunk.outputs !== 1 + features || !cube) {
      throw new MalformedError("field header: the trunk of a radiance field is a cube of 3 coordinates to its features");
    }
    return checked(new Radiance(5, trunk, features, head, count, { name: "relu" }), maxParams);
  }
}

function checkHead(features: number, head: number, count: number): void {
  checkRange(features, 1, 4096, "features");
  checkRange(head, 1, 2 ** 14, "head");
  checkRange(count, 0, 16, "octaves of the direction");
  checkRange(features + (count ? 3 * (2 * count + 1) : 3), 1, 2 ** 10, "the inputs of the head");
}

/** The parameters whose names begin with a prefix, without it. */
function under(prefix: string, params: Params): Params {
  const found: [string, Tensor][] = [...params].filter(([name]) => name.startsWith(prefix));
  return new Map(found.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}
