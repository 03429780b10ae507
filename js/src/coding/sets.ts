/** Sets of numbers (docs/format.md, section 6.5). */

import type { Reader } from "../container/bytes";
import { hypergeometric } from "./model";
import { closeBody, openBody, RangeDecoder } from "./rangecoder";

const KEPT = 128; // most members of sets whose tables are kept

/** `count` sets of `chosen` out of `positions` <= 65,536 numbers, set after set, each in ascending order. */
export function decodeSets(reader: Reader, chosen: number, count: number, positions: number): Uint16Array {
  const sets = new Uint16Array(chosen * count), body = openBody(reader, sets.length), decoder = new RangeDecoder(body);
  const tables = new Map<number, ReturnType<typeof hypergeometric>>();
  let filled = 0;

  const tableOf = (places: number, drawn: number): ReturnType<typeof hypergeometric> => {
    const key = drawn * 2 ** 17 + places, table = tables.get(key) ?? hypergeometric(places, drawn);
    if (drawn <= KEPT) tables.set(key, table);
    return table;
  };

  const join = (drawn: number, start: number, places: number): void => {
    if (drawn === places) {
      for (let i = 0; i < drawn; i++) sets[filled++] = start + i;
    } else if (drawn === 1) {
      sets[filled++] = start + decoder.uniform(places);
    } else if (drawn > 1) {
      const half = places >> 1, { least, cumulative } = tableOf(places, drawn);
      const lower = least + decoder.symbol(cumulative);
      join(lower, start, half);
      join(drawn - lower, start + half, places - half);
    }
  };

  for (let i = 0; i < count; i++) join(chosen, 0, positions);
  decoder.finish();
  closeBody(reader, body);
  return sets;
}
