/** Checks of what a header or a side section says of a signal. */

import { type Cbor, CborFloat, type CborMap } from "../container/cbor";
import { MalformedError } from "../errors";

/** Samples along an axis that a header may tell. */
export const MAX_SIDE = 2 ** 31 - 1;

/** Whether a value is an integer within bounds. */
export function isWhole(value: Cbor | undefined, least: number, most: number): value is number {
  return typeof value === "number" && value >= least && value <= most;
}

export function isList(value: Cbor | undefined): value is readonly Cbor[] {
  return Array.isArray(value);
}

export function isMap(value: Cbor | undefined): value is CborMap {
  return value instanceof Map;
}

/** Whether a value is a list of so many integers within bounds. */
export function areWhole(value: Cbor | undefined, count: number, least: number, most: number): value is readonly number[] {
  return isList(value) && value.length === count && value.every((each) => isWhole(each, least, most));
}

/** The numbers of a list of so many finite floats; undefined for anything else. */
export function floatsOf(values: readonly Cbor[], count: number): number[] | undefined {
  if (values.length !== count) return undefined;
  const numbers = values.map((each) => (each instanceof CborFloat ? each.value : NaN));
  return numbers.every(Number.isFinite) ? numbers : undefined;
}

/** `MalformedError` unless a rule holds; the message tells the rule. */
export function expect(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new MalformedError(rule);
}

/** `MalformedError` for sizes in a header, by their names, that are none. */
export function checkSides(kind: string, sides: Record<string, Cbor | undefined>): void {
  for (const [name, value] of Object.entries(sides)) {
    expect(isWhole(value, 1, MAX_SIDE), `${kind} ${name}: expected an integer from 1 to ${MAX_SIDE}`);
  }
}

/** `MalformedError` for a side section where a kind has none. */
export function checkNoSide(kind: string, side: Uint8Array): void {
  expect(side.length === 0, `${kind}: expected no side section`);
}
