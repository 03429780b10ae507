/** Activations of multilayer perceptrons (docs/format.md, section 4). */

import type { Cbor } from "../container/cbor";
import { MalformedError } from "../errors";
import { idAndRest, numberOf } from "./header";

export type Activation =
  | { readonly name: "sine"; readonly omega0: number; readonly firstOmega0: number }
  | { readonly name: "gaussian"; readonly scale: number }
  | { readonly name: "wire"; readonly omega0: number; readonly scale: number }
  | { readonly name: "relu" };

const COUNTS: readonly (readonly number[])[] = [[1, 2], [1], [2], [0]];

/** The activation of a header's entry. */
export function activationOf(value: Cbor | undefined): Activation {
  const [id, rest] = idAndRest(value, "an activation", [0, 1, 2, 3]);
  if (!COUNTS[id].includes(rest.length)) throw new MalformedError("field header: an activation has another number of parameters");
  const numbers = rest.map((number) => numberOf(number, "an activation"));
  if (!numbers.every((number) => number > 0 && number < 1e6)) {
    throw new MalformedError("field header: a number of an activation is not in (0, 1e6)");
  }
  const [first, second] = numbers;
  if (id === 0) return { name: "sine", omega0: first, firstOmega0: second ?? first };
  if (id === 1) return { name: "gaussian", scale: first };
  return id === 2 ? { name: "wire", omega0: first, scale: second } : { name: "relu" };
}

/** The factor g_i of a layer. */
export function gainOf(activation: Activation, first: boolean): number {
  if (activation.name === "sine") return first ? activation.firstOmega0 : activation.omega0;
  return activation.name === "gaussian" ? activation.scale : 1;
}
