import { describe, expect, it } from "vitest";
import { floorPower, gaussian, halfWidth, hypergeometric, SHAPES, uniform } from "../../src/coding/model";

/** Frequencies of cumulative ones. */
const steps = (cumulative: Uint32Array): number[] => Array.from(cumulative.subarray(1), (end, i) => end - cumulative[i]);

/** The square root of an integer, rounded down. */
function root(n: bigint): bigint {
  let x = 1n << BigInt(Math.ceil(n.toString(2).length / 2));
  for (let next = (x + n / x) >> 1n; next < x; next = (x + n / x) >> 1n) x = next;
  return x;
}

/** floor(2^(numerator / 2^log)) by integer roots. */
function exactPower(numerator: number, log: number): number {
  let value = 1n << BigInt(numerator);
  for (let i = 0; i < log; i++) value = root(value);
  return Number(value);
}

describe("floorPower", () => {
  it("is exact for half-widths, mean magnitudes and units", () => {
    for (let scale = 0; scale < 128; scale++) expect(halfWidth(scale)).toBe(exactPower(96 + scale, 3));
    for (let k = 0; k <= 136; k++) expect(floorPower(k, 3)).toBe(exactPower(k, 3));
    for (let e = 0; e < 128; e++) expect(floorPower(24 + e, 2)).toBe(exactPower(24 + e, 2));
    expect([0, 1, 64, 127].map(halfWidth)).toEqual([4096, 4466, 1048576, 246156398]);
  });

  it("is exact for weights", () => {
    for (let k = 0; k < 256; k += 17) expect(floorPower(7680 - k, 8)).toBe(exactPower(7680 - k, 8));
    expect([0, 1, 128, 255].map((k) => floorPower(7680 - k, 8))).toEqual([1073741824, 1070838486, 759250124, 538326516]);
  });
});

describe("frequencies", () => {
  it.each([
    [0, [81421, 92973, 108488, 132915, 216982, 132915, 108488, 92973, 81421]],
    [1, [56725, 80221, 113449, 160441, 226904, 160441, 113449, 80221, 56725]],
    [2, [33487, 66612, 118904, 186378, 237814, 186378, 118904, 66612, 33487]],
    [3, [15504, 52147, 124025, 208585, 248054, 208585, 124025, 52147, 15504]],
    [4, [1016, 25051, 129947, 238324, 259900, 238324, 129947, 25051, 1016]],
  ])("are those of the format for shape %i", (shape, frequencies) => {
    expect(steps(gaussian(shape, 40, 9, 4))).toEqual(frequencies);
  });

  it("are positive and sum to 2^20", () => {
    for (let shape = 0; shape < SHAPES.length; shape++) {
      for (const [scale, size, centre, spacing] of [[0, 4096, 0, 1], [127, 4096, 4095, 1], [30, 2047, 2045, 2], [3, 16381, 8190, 1]]) {
        const cumulative = gaussian(shape, scale, size, centre, spacing);
        expect(cumulative[size]).toBe(2 ** 20);
        expect(Math.min(...steps(cumulative))).toBeGreaterThan(0);
      }
    }
  });

  it("of equal symbols leave the remainder to the first", () => {
    expect(steps(uniform(3))).toEqual([349526, 349525, 349525]);
  });

  it.each([
    [8, 3, 0, [75029, 449260, 449258, 75029]],
    [7, 3, 0, [119893, 538788, 359921, 29974]],
    [65536, 2, 0, [262144, 524288, 262144]],
    [8, 7, 3, [524288, 524288]],
  ])("of halves of %i places with %i drawn", (positions, drawn, least, frequencies) => {
    const found = hypergeometric(positions, drawn);
    expect([found.least, steps(found.cumulative)]).toEqual([least, frequencies]);
  });
});
