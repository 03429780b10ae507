/** Numbers in the headers of fields. */

import { type Cbor, CborFloat } from "../container/cbor";
import { LimitError, MalformedError, UnknownIdError } from "../errors";

/** Whether a value is an integer. */
export function isInteger(value: Cbor | undefined): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

/** Integers of a list, approximately where they are beyond 2^53; `MalformedError` where one is something else. */
export function integersOf(values: readonly Cbor[], what: string): number[] {
  if (!values.every(isInteger)) throw new MalformedError(`field header: ${what} has sizes that are integers`);
  return values.map(Number);
}

/** An integer or a float as a number; `MalformedError` for anything else. */
export function numberOf(value: Cbor, what: string): number {
  if (isInteger(value)) return Number(value);
  if (value instanceof CborFloat) return value.value;
  throw new MalformedError(`field header: ${what} takes finite numbers`);
}

/** A list; `MalformedError` for anything else. */
export function listOf(value: Cbor | undefined, what: string): readonly Cbor[] {
  if (!Array.isArray(value)) throw new MalformedError(`field header: ${what} is a list`);
  return value as readonly Cbor[];
}

/** The id and the rest of [id, ...]: `UnknownIdError` for an id that is not one of `known`. */
export function idAndRest(value: Cbor | undefined, what: string, known: readonly number[]): [number, readonly Cbor[]] {
  const [id, ...rest] = listOf(value, what);
  if (!isInteger(id)) throw new MalformedError(`field header: ${what} begins with an integer id`);
  if (!known.includes(Number(id))) throw new UnknownIdError(`field header: ${what} id ${id} is not known to this version`);
  return [Number(id), rest];
}

/** `MalformedError` unless `least` <= value <= `most`. */
export function checkRange(value: number, least: number, most: number, what: string): void {
  if (!(value >= least && value <= most)) {
    throw new MalformedError(`field header: ${what} is an integer in [${least}, ${most}], found ${value}`);
  }
}

/** `LimitError` where a field has more parameters than the reader accepts. */
export function checkParams(count: number, most: number): void {
  if (count > most) {
    throw new LimitError(`field header: ${count} parameters are more than ${most}; raise maxParams for a file that you trust`);
  }
}
