import { describe, expect, test } from "vitest";
import { Reader } from "../../src/container/bytes";
import { readFile } from "../../src/container/format";
import { fieldFromHeader } from "../../src/fields/families";
import { Pyramid } from "../../src/fields/pyramid";
import type { Params } from "../../src/tensor";
import { bytesOf, jsonOf, namesIn } from "../conformance";
import { hashOf } from "../hashes";

const GOLDEN = jsonOf<Record<string, string>>("pyramids/golden.json");

/** Coordinates of `count` samples that cover the pixels start .. stop - 1 of n. */
function axis(n: number, count = n, start = 0, stop = n): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => ((2 * i + 1) * (stop - start) + 2 * start * count) / (count * n) - 1);
}

/** Samples of 8 bits: every operation is rounded to binary32. */
function samples(values: Float32Array): Uint8Array {
  return Uint8Array.from(values, (v) => {
    const x = Math.fround(Math.fround(Math.min(Math.max(v, -1), 1) + 1) * 127.5), down = Math.floor(x);
    return x - down === 0.5 ? down + (down % 2) : Math.round(x);
  });
}

function opened(name: string): { field: Pyramid; params: Params } {
  const { header, sections } = readFile(bytesOf(`${name}.sinr`)), field = fieldFromHeader(header.field, 2 ** 20) as Pyramid;
  return { field, params: field.decodeSection(new Reader(sections[0], "pyramid")) };
}

describe.each(namesIn("pyramids/"))("%s", (name) => {
  const golden = GOLDEN[name.slice("pyramids/".length)];

  test("weights and latents", () => {
    const found = [...opened(name).params].map(([key, tensor]) => [key, hashOf(tensor)]);
    expect(found.length).toBeGreaterThan(8);
    for (const [key, hash] of found) expect(hash, key).toBe(golden[key]);
  });
});

describe.each(["gray", "rgb", "rgba", "row"])("samples of %s", (name) => {
  const { field, params } = opened(`pyramids/${name}`), [h, w] = field.sizes, evaluator = field.evaluator(params);
  const shape = (...sides: number[]) => (field.outputs === 1 ? sides : [...sides, field.outputs]);
  const rendered = (rows: Float32Array, columns: Float32Array) =>
    hashOf({ dtype: "uint8", shape: shape(rows.length, columns.length), data: samples(evaluator.onGrid!([rows, columns], [rows, columns])) });

  test("pixels", () => expect(rendered(axis(h), axis(w))).toBe(GOLDEN[name].pixels));
  test("a region", () => expect(rendered(axis(h, 1, 0, 1), axis(w, 14, 3, 17))).toBe(GOLDEN[name].region));
  test("larger", () => expect(rendered(axis(h, 31), axis(w, 77))).toBe(GOLDEN[name].larger));
  test("smaller", () => {
    const rows = Math.max(1, Math.round(0.3 * h)), columns = Math.max(1, Math.round(0.3 * w));
    expect(rendered(axis(h, rows), axis(w, columns))).toBe(GOLDEN[name].smaller);
  });
  test("points have the values of the grid", () => {
    const rows = axis(h, 5), columns = axis(w, 7), grid = evaluator.onGrid!([rows, columns], [rows.subarray(0, 1), columns.subarray(0, 1)]);
    const coords = Float32Array.from({ length: 70 }, (_, i) => (i % 2 ? columns[(i >> 1) % 7] : rows[Math.floor((i >> 1) / 7)]));
    expect(evaluator.at(coords, 35)).toEqual(grid);
  });
});
