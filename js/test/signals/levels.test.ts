import { describe, expect, it } from "vitest";
import { Levels } from "../../src/signals/levels";
import { nearest } from "../../src/signals/numbers";
import { allocate, type DType, type Numbers } from "../../src/tensor";

function samples(dtype: DType, low: number, high: number, values: number[]): Numbers {
  const out = allocate(dtype, values.length);
  new Levels(dtype, low, high).toSamples(Float64Array.from(values), out);
  return out;
}

describe("nearest", () => {
  it.each([[0.5, 0], [1.5, 2], [2.5, 2], [-0.5, -0], [-1.5, -2], [-2.5, -2], [0.49999999999999994, 0], [4503599627370497, 4503599627370497]])("of %d is %d", (x, wanted) => {
    expect(nearest(x)).toBe(wanted);
  });
});

describe("samples of values", () => {
  it.each<[DType, number, number, number[], (number | bigint)[]]>([
    ["uint8", 0, 255, [-1, 1, NaN, 7, -7, 0], [0, 255, 255, 255, 0, 128]],
    ["int8", -100, 27, [-1, 1, 0], [-100, 27, -36]],
    ["bool", 0, 1, [-0.1, 0, 0.1, NaN], [0, 0, 1, 1]],
    ["uint16", 10, 11, [0, 0.1, -0.1], [10, 11, 10]],
    ["int32", -(2 ** 31), 2 ** 31 - 1, [-1, 1], [-(2 ** 31), 2 ** 31 - 1]],
    ["uint32", 0, 2 ** 32 - 1, [1, 0], [2 ** 32 - 1, 2 ** 31]],
    ["float32", 0.1, 0.7, [-1, 1], [Math.fround(0.1), Math.fround(0.7)]],
    ["float64", -3, 5, [-1, 0.25, 1], [-3, 2, 5]],
    ["float16", 0, 2, [0, 1, -1], [0x3c00, 0x4000, 0]],
    ["int64", -(2 ** 63), 2 ** 63, [-1, 1, 0], [-(2n ** 63n), 2n ** 63n - 1024n, 0n]],
    ["int64", -3, 4, [-1, 1, -0.4], [-3n, 4n, -1n]],
    ["uint64", 0, 2 ** 64, [-1, 1, 0], [0n, 2n ** 64n - 2048n, 2n ** 63n]],
  ])("%s in %d .. %d", (dtype, low, high, values, wanted) => {
    expect(Array.from<number | bigint>(samples(dtype, low, high, values) as ArrayLike<number | bigint>)).toEqual(wanted);
  });
});
